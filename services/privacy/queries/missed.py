"""What partner systems missed, and whether they have answered for it."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis.errors import NotFoundError
from services.privacy.models import Broadcast, Missed, Participant
from services.privacy.schemas.missed import MissedPosition


async def missed_positions(
    session: AsyncSession, *, participant: str, before: int | None, limit: int
) -> Sequence[MissedPosition]:
    """Broadcasts that it was told of later, the newest first, below that position.

    Raises `NotFoundError` when there is no such participant.
    """
    if await session.get(Participant, participant) is None:
        raise NotFoundError
    found = (
        select(
            col(Missed.position),
            col(Broadcast.sent_at),
            func.count().label("people"),
            func.count().filter(col(Missed.outcome).is_(None)).label("unanswered"),
            func.max(col(Missed.times)).label("times"),
            func.max(col(Missed.told_at)).label("told_at"),
            func.max(col(Missed.acknowledged_at)).label("acknowledged_at"),
        )
        .join(Broadcast, col(Broadcast.position) == col(Missed.position))
        .where(col(Missed.participant) == participant)
        .group_by(col(Missed.position), col(Broadcast.sent_at))
        .order_by(col(Missed.position).desc())
        .limit(limit)
    )
    if before is not None:
        found = found.where(col(Missed.position) < before)
    rows = (await session.execute(found)).mappings()
    return [MissedPosition.model_validate(row) for row in rows]
