"""Database sessions: one transaction per request, message or job, committed by its edge alone."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol
from weakref import ref

import asyncpg
from prometheus_client import Gauge, Histogram
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, QueuePool

from chassis import outbox, tracing
from chassis.catalogue import DETACHED, TOMBSTONE
from chassis.errors import SubjectErasedError

FOREIGN_KEY_VIOLATION, CHECK_VIOLATION = "23503", "23514"
_WAKES = "wakes"
_RETURNED = "returned"
_PING_AFTER_S = 1.0
"""A connection that was used so recently is taken to be alive, unless it was seen to close."""

_waited = Histogram(
    "ccib_database_pool_wait_seconds",
    "From asking for a connection of the pool to having it, new ones included",
    ["service"],
    buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10),
)
_in_use = Gauge("ccib_database_pool_in_use", "Connections of the pool in use", ["service"])
_size = Gauge("ccib_database_pool_size", "Connections that the pool may hold", ["service"])


class Gate(Protocol):
    """Decides whether this database may be used: not one that has forgotten whom it must forget."""

    async def admit(self, connection: asyncpg.Connection) -> None:
        """Raise `ReconcilingError` unless what answers on this new connection may be used."""

    async def passed(self) -> None:
        """Return once the gate is open; raises `ReconcilingError` when that takes too long."""


class Database:
    """One service's database, and the bells that ring in this process after a commit."""

    def __init__(self, url: str, *, service: str, pool: int = 10, gate: Gate | None = None) -> None:
        self.service = service
        self.url = url
        self.gate = gate
        self.engine: AsyncEngine = engine(
            url,
            _connect_args(service),
            pool_size=pool,
            max_overflow=0,
            pool_timeout=10,
            poolclass=_timed_pool(service),
            # The one used last: its backend has read the catalogue, and knows the statements.
            pool_use_lifo=True,
        )
        # Of their own: a job that holds its lock still needs a connection to work with, and jobs that
        # took each other's would all wait.
        self.locks: AsyncEngine = engine(
            url, _connect_args(service), pool_size=5, max_overflow=-1, pool_use_lifo=True
        )
        for one in (self.engine, self.locks):
            _replace_what_is_dead(one)
        self.bells: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        if gate is not None:
            _size.labels(service).set(pool)
            held = ref(self.engine.pool)
            _in_use.labels(service).set_function(
                lambda: found.checkedout() if isinstance(found := held(), QueuePool) else 0
            )

            # On the very connection, before anybody can use it.

            @event.listens_for(self.engine.sync_engine, "connect")
            def admit(connection: Any, _: Any) -> None:
                connection.run_async(gate.admit)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session whose work is committed, with its events, when the block ends without error.

        Raises `SubjectErasedError` when something was written about an erased person, and
        `ReconcilingError` while the database was restored and has not forgotten again.
        """
        if self.gate is not None:
            await self.gate.passed()
        info = {"service": self.service}
        if (trace := tracing.current()) is not None:
            info["traceparent"] = trace  # of the events that it publishes
        async with AsyncSession(self.engine, expire_on_commit=False, info=info) as session:
            try:
                async with session.begin():
                    yield session
                    await session.flush()
                    if await outbox.flush(session):
                        wake(session, outbox.BELL)
            except DBAPIError as error:
                if subject_is_erased(error):
                    raise SubjectErasedError from error
                raise
        for name in session.info.get(_WAKES, ()):
            self.bells[name].set()

    async def dispose(self) -> None:
        """Close every connection."""
        await self.locks.dispose()
        await self.engine.dispose()


def _timed_pool(service: str) -> type[AsyncAdaptedQueuePool]:
    waited = _waited.labels(service)

    class Timed(AsyncAdaptedQueuePool):
        def _do_get(self) -> ConnectionPoolEntry:
            with waited.time():
                return super()._do_get()

    return Timed


def _replace_what_is_dead(engine: AsyncEngine) -> None:
    """Give nobody a connection that is closed, or that has been idle and does not answer.

    The pool's own ping asks before every transaction, in three round trips; this one takes one.
    """

    @event.listens_for(engine.sync_engine, "checkin")
    def note(_: Any, record: ConnectionPoolEntry) -> None:
        record.info[_RETURNED] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def look(connection: Any, record: ConnectionPoolEntry, _: Any) -> None:
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError
        if time.monotonic() - record.info.get(_RETURNED, time.monotonic()) > _PING_AFTER_S:
            try:
                connection.run_async(lambda driver: driver.execute("SELECT", timeout=5))
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                raise InvalidatePoolError from error


def _connect_args(service: str) -> dict[str, Any]:
    return {
        "server_settings": {"application_name": f"ccib-{service}", "timezone": "UTC"},
        "command_timeout": 60,
    }


def engine(url: str, connecting: Mapping[str, Any] | None = None, **pool: Any) -> AsyncEngine:
    """An engine whose connections asyncpg opens by the whole address: SQLAlchemy would take it apart,
    and does not know what asyncpg knows of certificates.
    """

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(url, **(connecting or {}))

    known_as = url.partition("?")[0].replace("postgresql://", "postgresql+asyncpg://", 1)
    return create_async_engine(known_as, async_creator=connect, **pool)


def wake(session: AsyncSession, bell: str) -> None:
    """Ring that bell of this process once the session has committed."""
    session.info.setdefault(_WAKES, set()).add(bell)


def violated_constraint(error: DBAPIError) -> str | None:
    """The name of the constraint that PostgreSQL refused, if that is what happened."""
    cause: Any = error.orig.__cause__ if error.orig is not None else None
    name = getattr(cause, "constraint_name", None)
    return str(name) if name else None


def subject_is_erased(error: DBAPIError) -> bool:
    """Whether the statement wrote about a person whose tombstone is set.

    Either the row names them, or it was theirs and named nobody any more when its turn came.
    """
    ending = {FOREIGN_KEY_VIOLATION: f"_{TOMBSTONE}", CHECK_VIOLATION: DETACHED}.get(
        getattr(error.orig, "sqlstate", "")
    )
    return ending is not None and (violated_constraint(error) or "").endswith(ending)
