"""Copies of their own data that people asked for."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock
from services.privacy.models import Export


async def exports(session: AsyncSession, *, viewer: UUID) -> Sequence[Export]:
    """The copies of this person that are not over yet, newest first."""
    found = await session.scalars(
        select(Export)
        .where(col(Export.person_id) == viewer, col(Export.expires_at) > clock.now())
        .order_by(col(Export.requested_at).desc(), col(Export.id))
    )
    return found.all()


async def export(session: AsyncSession, *, export_id: UUID, viewer: UUID) -> Export | None:
    """A copy of this person; somebody else's, or one that is over, is none."""
    found: Export | None = await session.scalar(
        select(Export).where(
            col(Export.id) == export_id,
            col(Export.person_id) == viewer,
            col(Export.expires_at) > clock.now(),
        )
    )
    return found
