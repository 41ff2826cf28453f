"""The last message to somebody who is otherwise forgotten."""

from datetime import timedelta

from sqlalchemy import and_, delete, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock
from services.privacy.models import Broadcast, Erasure, LastMessage

_LETS_OTHERS_FIRST = timedelta(minutes=1)
"""How long a message lets those go first who wait to be forgotten: its document takes more of a
processor than their erasure. No longer, since telling people is a promise too."""

_open = col(Erasure.completed_at).is_(None)
# Nobody has been chased for it yet: one that hangs on a silent participant holds no message back.
_SOMEBODY_IS_ABOUT_TO_BE_FORGOTTEN = or_(
    select(Erasure).where(_open, col(Erasure.position).is_(None)).exists(),
    select(Broadcast)
    .where(
        or_(
            col(Broadcast.sent_at).is_(None),
            and_(col(Broadcast.chase_at).is_not(None), col(Broadcast.chases) == 0),
        ),
        select(Erasure).where(_open, col(Erasure.position) == col(Broadcast.position)).exists(),
    )
    .exists(),
)


async def next_due(session: AsyncSession) -> tuple[LastMessage, Erasure] | None:
    """The message to send now with its erasure, held by this transaction.

    None, for a minute at most, while people wait whose erasure is on its way.
    """
    now = clock.now()
    waited = col(LastMessage.due_at) <= now - _LETS_OTHERS_FIRST
    rows = await session.execute(
        select(LastMessage, Erasure)
        .join(Erasure, col(Erasure.erasure_id) == col(LastMessage.erasure_id))
        .where(
            col(LastMessage.due_at) <= now,
            col(Erasure.completed_at).is_not(None),
            or_(waited, ~_SOMEBODY_IS_ABOUT_TO_BE_FORGOTTEN),
        )
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
