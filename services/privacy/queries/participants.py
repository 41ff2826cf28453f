"""Who takes part, and what each declared."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.privacy.models import Manifest, Participant


async def active_participants(session: AsyncSession) -> list[str]:
    """Names of those who take part in the next broadcast."""
    found = await session.scalars(
        select(col(Participant.name)).where(col(Participant.active)).order_by(col(Participant.name))
    )
    return list(found)


async def participants(session: AsyncSession) -> Sequence[Participant]:
    """Every participant, services first."""
    found = await session.scalars(
        select(Participant).order_by(col(Participant.kind).desc(), col(Participant.name))
    )
    return found.all()


async def current_manifests(session: AsyncSession) -> dict[str, Manifest]:
    """The manifest that each service announced last."""
    found = await session.scalars(
        select(Manifest)
        .ext(distinct_on(col(Manifest.participant)))
        .order_by(col(Manifest.participant), col(Manifest.announced_at).desc())
    )
    return {manifest.participant: manifest for manifest in found}


async def manifests(
    session: AsyncSession, *, hashes: Collection[str | None]
) -> dict[str | None, dict[str, Any]]:
    """The manifests under which something was proven, by hash, whatever was announced since."""
    found = await session.scalars(select(Manifest).where(col(Manifest.manifest_hash).in_(hashes)))
    return {manifest.manifest_hash: manifest.manifest for manifest in found}
