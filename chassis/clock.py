"""The one place where time is read, so that a test can move it and a reader can find it."""

from datetime import UTC, datetime, timedelta

_offset = timedelta(0)


def now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC) + _offset


def shift(by: timedelta) -> None:
    """Move this process's clock by that much from real time; for tests and rehearsals only."""
    global _offset
    _offset = by
