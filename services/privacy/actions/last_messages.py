"""The last message to somebody who is otherwise forgotten."""

from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock
from services.privacy.models import Erasure, LastMessage


async def next_due(session: AsyncSession) -> tuple[LastMessage, Erasure] | None:
    """The message to send now with its erasure, held by this transaction."""
    rows = await session.execute(
        select(LastMessage, Erasure)
        .join(Erasure, col(Erasure.erasure_id) == col(LastMessage.erasure_id))
        .where(col(LastMessage.due_at) <= clock.now(), col(Erasure.completed_at).is_not(None))
        .order_by(col(LastMessage.due_at))
        .limit(1)
        .with_for_update(of=LastMessage, skip_locked=True)
    )
    found = rows.one_or_none()
    return (found[0], found[1]) if found else None


async def destroy(session: AsyncSession, message: LastMessage) -> None:
    """The mail was accepted: the address has served its purpose."""
    await session.delete(message)


def postpone(message: LastMessage) -> None:
    """The mail server did not take it; try again, less and less often."""
    message.attempts += 1
    message.due_at = clock.now() + timedelta(seconds=min(5 * 2**message.attempts, 3600))


async def destroy_overdue(session: AsyncSession) -> None:
    """An address whose deadline passed is destroyed unsent."""
    await session.execute(delete(LastMessage).where(col(LastMessage.destroy_at) <= clock.now()))
