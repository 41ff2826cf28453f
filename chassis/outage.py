"""Telling a database that is away from a statement that it refused."""

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from chassis.errors import ReconcilingError

# Connection lost or refused; out of resources; shutting down or starting; system error; a standby.
_AWAY = ("08", "28", "3D", "55000", "53", "57P", "58", "25006")
# Serialisation failure, deadlock, lock not available.
_COLLISIONS = ("40001", "40P01", "55P03")


def is_outage(error: BaseException) -> bool:
    """Whether the same work may succeed, unchanged, once the database is back."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or _state(error).startswith(_AWAY)
    if isinstance(error, TimeoutError):
        return False  # somebody's patience, not the database's absence
    return isinstance(error, OSError | PoolExhausted | ReconcilingError)


def collided(error: BaseException) -> bool:
    """Whether another transaction was in the way."""
    return isinstance(error, DBAPIError) and _state(error) in _COLLISIONS


def _state(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""
