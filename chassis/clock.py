"""The one place where time is read, so that a test can move it and a reader can find it."""

import time
from datetime import UTC, datetime, timedelta

_offset = timedelta(0)
_rehearsed = timedelta(0)


def now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC) + _rehearsed + _offset


def drift() -> timedelta:
    """How far the wall clock was set, since this process began, against a clock that nobody sets."""
    wall, steady = _BEGAN
    return now() - _rehearsed - wall - timedelta(seconds=_steady() - steady)


def rehearsed() -> timedelta:
    """What to add to an instant read elsewhere, so that it is of the same rehearsal."""
    return _rehearsed


def rehearse(by: timedelta) -> None:
    """Let that much time have passed on every clock of this process; for tests and rehearsals only."""
    global _rehearsed
    _rehearsed = by


def shift(by: timedelta) -> None:
    """Move this process's clock by that much from real time; for tests and rehearsals only."""
    global _offset
    _offset = by


def _steady() -> float:
    # Where there is one, the clock that counts while the machine sleeps.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


_BEGAN = datetime.now(UTC), _steady()
