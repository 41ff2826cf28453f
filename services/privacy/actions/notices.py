"""Notices that are published."""

from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.ids import new_id
from contracts.privacy import NoticePublished
from services.privacy.models import Notice


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
