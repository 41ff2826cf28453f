"""Notices that are published, and consents that refer to them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox, subjects
from chassis.ids import new_id
from contracts.privacy import NoticePublished
from services.privacy.models import Consent, Notice


async def publish_notice(
    session: AsyncSession, *, version: str, in_force_from: datetime, content: dict[str, Any]
) -> None:
    """Keep a version of the notice for ever, and tell of it once (N8.2)."""
    notice_id = new_id()
    added = await session.scalar(
        insert(Notice)
        .values(version=version, notice_id=notice_id, in_force_from=in_force_from, content=content)
        .on_conflict_do_nothing()
        .returning(Notice.version)  # type: ignore[call-overload]
    )
    if added is not None:
        outbox.publish(
            session,
            NoticePublished(
                notice_id=notice_id, notice_version=version, in_force_from=in_force_from
            ),
        )


async def record_consent(
    session: AsyncSession, *, person_id: UUID, notice_version: str, given_at: datetime
) -> None:
    """Keep that a person agreed to a version of the notice (N2.4)."""
    await subjects.ensure(session, person_id)
    await session.execute(
        insert(Consent)
        .values(person_id=person_id, notice_version=notice_version, given_at=given_at)
        .on_conflict_do_nothing()
    )
