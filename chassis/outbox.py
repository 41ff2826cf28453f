"""An event is a row before it is a message: `publish` needs the caller's session."""

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.base import Event

BELL = "outbox"
"""The bell of `Database.bells` that wakes this process's relay."""


def publish(session: AsyncSession, *events: Event) -> None:
    """Record events in the session; they become outbox rows when its transaction commits."""
    session.info.setdefault("events", []).extend(events)


async def flush(session: AsyncSession) -> None:
    """Write the recorded events as outbox rows; called by `Database.transaction` alone."""
    raise NotImplementedError
