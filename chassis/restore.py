"""The gate: a database that has forgotten whom it must forget serves nobody, from its first answer.

Every connection of this process is looked at before anybody can use it. What answers may be used
when it is the very database instance that was found complete, or when it has applied every position
of the ledger copy. Otherwise the gate closes: the process is not ready, transactions wait briefly and
are refused, and the process applies what is missing by itself, from the copy, over a connection that
is not gated. It needs the copy for that, not privacy; and nobody has to remember anything.

How it tells a restored database from a command that is merely on its way: an *instance* is a server
since its start and a database in it, and cannot go back unseen. While it stays the same, only what
was there once must still be there; new positions may take their time. Another instance must have
them all.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import clock, crash, erasure, outbox
from chassis.bus import Backoff, jittered, wait_any
from chassis.db import Database
from chassis.erasure import Eraser
from chassis.errors import ReconcilingError
from chassis.ledger import (
    Ledger,
    LedgerConflictError,
    LedgerEntryError,
    LedgerUnreachableError,
)

EVERY_S = 2.0
"""How often the database is compared with the copy while nothing is wrong."""
PATIENCE_S = 2.0
"""How long a transaction waits for a closed gate before it is refused."""
OVERDUE_S = 10.0
"""A command that has not come over the bus after so long is taken from the copy."""
_SURELY_APPLIED = timedelta(minutes=10)
"""Who gave a command repeats it every five minutes: one that is older than this was applied once."""
_AT_ONCE = 200

_closed = Gauge("restore_gate_closed", "1 while this process serves nobody", ["service"])
_seconds = Counter("restore_gate_closed_seconds", "How long it served nobody", ["service"])
_checks = Counter("restore_checks", "Comparisons with the ledger copy", ["service", "outcome"])
_reapplied = Counter("restore_positions_reapplied", "Positions taken from the copy", ["service"])

_AWAY = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg says of a connection lost at a bad moment
)

logger = structlog.get_logger()

Rebuild = Callable[[Database, Ledger], Awaitable[None]]
"""What a service itself keeps of the ledger and may lack; runs before anything is applied."""

# A promoted standby writes another timeline; a restored dump or a copy is another database.
_LOOK = """
SELECT hashtextextended(concat_ws(' ',
        (SELECT system_identifier FROM pg_control_system()),
        CASE WHEN pg_is_in_recovery() THEN 'standby'
            ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END,
        (SELECT oid FROM pg_database WHERE datname = current_database())
    ), 0) AS incarnation,
    pg_postmaster_start_time()::text AS started,
    (SELECT last FROM aggregate_sequence WHERE aggregate = 'incarnation') AS recorded,
    (SELECT count(*) FROM applied WHERE position <= $1) AS marked,
    (SELECT count(*) FROM applied WHERE position <= $2) AS held
"""
_HIGHEST = "SELECT position, entry_hash FROM applied ORDER BY position DESC LIMIT 1"
_MISSING = """
SELECT wanted FROM generate_series(1::bigint, $1) wanted
WHERE NOT EXISTS (SELECT FROM applied WHERE position = wanted) ORDER BY wanted LIMIT $2
"""
_RECORD = text(
    "INSERT INTO aggregate_sequence (aggregate, last) VALUES ('incarnation', :incarnation)"
    " ON CONFLICT (aggregate) DO UPDATE SET last = excluded.last"
)
_LOCK = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))"


class _NotYetError(Exception):
    """Why the gate stays closed; said by readiness."""


@dataclass(frozen=True)
class _Look:
    """What one connection said about the database behind it."""

    incarnation: int
    started: str
    recorded: int | None
    marked: int
    held: int

    @property
    def instance(self) -> tuple[int, str]:
        return self.incarnation, self.started


class Restoration:
    """The gate of one process, and what opens it (`chassis.db.Gate`)."""

    def __init__(
        self, *, url: str, ledger: Ledger, eraser: Eraser, rebuild: Rebuild | None = None
    ) -> None:
        self.ledger = ledger
        self.bell = asyncio.Event()
        self.reason: str | None = "starting"
        """Why nobody is served, or None."""
        self._url = url
        self._service = eraser.catalogue.service
        self._eraser = eraser
        self._rebuild = rebuild
        self.opened = asyncio.Event()
        """Set while somebody is served."""
        self._instance: tuple[int, str] | None = None
        """The instance that was found complete."""
        self._mark = (0, 0)
        """A position, and how many up to it were applied there: never fewer again."""
        self._suspected = False
        self._overdue: dict[int, float] = {}
        _closed.labels(self._service).set(1)

    # --- what connections and transactions ask

    async def admit(self, connection: asyncpg.Connection) -> None:
        """Raise `ReconcilingError` unless what answers on this new connection may be used.

        Raises `ConnectionError` when it answers nothing.
        """
        try:
            if await self._usable(connection):
                return
            if self.reason is None:
                self.close("another database answers, or an older state of it")
            await self.passed()
            if await self._usable(connection):
                return
        except _AWAY as error:
            raise ConnectionError(f"not admitted: {type(error).__name__}") from error
        raise ReconcilingError

    async def passed(self) -> None:
        """Return once the gate is open; raises `ReconcilingError` when that takes too long."""
        if self.reason is None:
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.opened.wait()
        except TimeoutError:
            raise ReconcilingError from None

    def close(self, reason: str, *, suspected: bool = False) -> None:
        """Serve nobody until the database was compared with the copy again.

        `suspected`: compare all that the service keeps of the ledger, even if nothing is missing.
        """
        self._suspected |= suspected
        if reason != self.reason:
            logger.error("restore_gate_closed", reason=reason)
        self.reason = reason
        self.opened.clear()
        self.bell.set()
        _closed.labels(self._service).set(1)

    def _open(self, look: _Look) -> None:
        self._instance, self._mark = look.instance, (self.ledger.known, look.held)
        self._suspected = False
        self.reason = None
        self.opened.set()
        _closed.labels(self._service).set(0)

    async def _usable(self, connection: asyncpg.Connection) -> bool:
        look = await self._look(connection)
        return self.reason is None and self._unchanged(look)

    def _unchanged(self, look: _Look) -> bool:
        return look.instance == self._instance and look.marked >= self._mark[1]

    async def _look(self, connection: asyncpg.Connection) -> _Look:
        return _Look(**await connection.fetchrow(_LOOK, self._mark[0], self.ledger.known))

    # --- the loop

    async def run(self, *, db: Database, stop: asyncio.Event, forget: bool) -> None:
        """Compare again and again, and open the gate whenever it may be, until `stop`.

        `forget`: also take overdue commands from the copy. Nothing is raised.
        """
        # Two: the one that compares may itself be a connection that waits for the other to open.
        await asyncio.gather(self._watch(db, stop, forget=forget), self._keep_open(stop))

    async def _watch(self, db: Database, stop: asyncio.Event, *, forget: bool) -> None:
        while not stop.is_set():
            await wait_any(stop, within=jittered(EVERY_S))
            if self.reason is None and not stop.is_set():
                await self._compare(db, forget=forget)

    async def _keep_open(self, stop: asyncio.Event) -> None:
        backoff = Backoff(first=0.1, longest=5.0)
        while not stop.is_set():
            self.bell.clear()
            if self.reason is None:
                backoff.reset()
                await wait_any(self.bell, stop)
                continue
            began = time.monotonic()
            if not await self.try_to_open():
                await wait_any(stop, within=backoff.next())
            _seconds.labels(self._service).inc(time.monotonic() - began)

    async def _compare(self, db: Database, *, forget: bool) -> None:
        """Look at the open database again: close the gate if it went back."""
        try:
            async with db.engine.connect() as pooled:
                raw = (await pooled.get_raw_connection()).driver_connection
                if not isinstance(raw, asyncpg.Connection):
                    raise TypeError(type(raw))
                look = await self._look(raw)
                if self._unchanged(look):
                    await self._refresh(raw)
                    look = await self._look(raw)  # it may go back while the copy is read
                if not self._unchanged(look):
                    self.close("another database answers, or an older state of it")
                    return
                self._mark = (self.ledger.known, look.held)
                missing = await self._missing(raw) if look.held < self.ledger.known else []
        except LedgerEntryError as error:
            self.close(str(error))
        except LedgerUnreachableError as error:
            # What answers here was complete, and is still the same: no reason to serve nobody.
            _checks.labels(self._service, "copy unreachable").inc()
            logger.error("ledger_copy_unreachable", reason=str(error))
        except (SQLAlchemyError, *_AWAY) as error:
            logger.warning("restore_check_failed", error=type(error).__name__)
        except ReconcilingError:
            pass
        else:
            _checks.labels(self._service, "behind" if missing else "complete").inc()
            if forget:
                await self._take_overdue(missing)

    async def _take_overdue(self, missing: list[int]) -> None:
        """Apply what the bus should have brought by now; the gate stays open whatever happens."""
        now = time.monotonic()
        self._overdue = {position: self._overdue.get(position, now) for position in missing}
        late = [position for position, seen in self._overdue.items() if now - seen > OVERDUE_S]
        if not late:
            return
        async with self.ungated() as db:
            for position in late:
                try:
                    await self._apply(db, position)
                except Exception as error:
                    self._overdue[position] = now  # again, no sooner than this time
                    logger.warning("overdue_erasure_failed", position=position, exc_info=error)
                else:
                    logger.info("overdue_erasure_applied", position=position)

    # --- opening

    async def try_to_open(self) -> bool:
        """Compare, apply what is missing, open. Returns whether it is open; `reason` says why not."""
        try:
            async with self._connection() as connection:
                await self._reconcile(connection)
        except LedgerUnreachableError as error:
            self.close(f"the ledger copy cannot be read: {error}")
        except (LedgerConflictError, LedgerEntryError, _NotYetError) as error:
            self.close(str(error))
        except (SQLAlchemyError, *_AWAY) as error:
            self.close(f"database unreachable: {type(error).__name__}")
        except Exception as error:
            logger.error("restore_failed", exc_info=error)
            self.close(f"reconciling failed: {type(error).__name__}: {error}")
        outcome = "complete" if self.reason is None else "closed"
        _checks.labels(self._service, outcome).inc()
        return self.reason is None

    async def _reconcile(self, connection: asyncpg.Connection) -> None:
        """Bring the database behind this connection up to the copy, then open. Raises why not."""
        await self._refresh(connection)
        look = await self._look(connection)
        if not self._is_whole(look):
            if not await connection.fetchval(_LOCK, f"{self._service}.restore"):
                raise _NotYetError("another process is applying what is missing")
            look = await self._look(connection)
        if not self._is_whole(look):
            await self._forget_again(connection, look)
            crash.point("restore.before_open")
            look = await self._look(connection)
            if not self._is_whole(look):
                raise _NotYetError("it was not applied to the database that answers now")
        self._open(look)
        logger.info("restore_gate_opened", known=self.ledger.known)

    def _is_whole(self, look: _Look) -> bool:
        return (
            not self._suspected
            and look.recorded == look.incarnation
            and look.held == self.ledger.known
            and (look.instance != self._instance or look.marked >= self._mark[1])
        )

    async def _forget_again(self, connection: asyncpg.Connection, look: _Look) -> None:
        missing = await self._missing(connection)
        went_back = await self._went_back(look, missing)
        self._instance, self._mark = None, (0, 0)  # what is known of before says nothing any more
        async with self.ungated() as db:
            async with db.transaction() as session:
                await self._record(session, look, went_back=went_back)
            crash.point("restore.after_epoch")
            if self._rebuild is not None:
                await self._rebuild(db, self.ledger)
            if missing:
                logger.warning("restore_forgets_again", went_back=went_back, positions=len(missing))
            failures: dict[int, Exception] = {}
            while missing:
                self.reason = (
                    f"applying what the database has forgotten, from position {missing[0]}"
                )
                for position in missing:
                    try:
                        await self._apply(db, position)
                    except (LedgerEntryError, LedgerUnreachableError):
                        raise
                    except Exception as error:
                        failures[position] = error
                        logger.error("restore_position_failed", position=position, exc_info=error)
                left = await self._missing(connection)
                missing = [position for position in left if position not in failures]
        if failures:
            position, failure = next(iter(failures.items()))
            raise _NotYetError(
                f"position {position} cannot be applied: {type(failure).__name__}: {failure}"
            )
        self._suspected = False

    async def _record(self, session: AsyncSession, look: _Look, *, went_back: bool) -> None:
        """Sequences go on above all that were given before, then the database knows where it is."""
        if went_back:
            await outbox.raise_epoch(session)
        await session.execute(_RECORD, {"incarnation": look.incarnation})

    async def _went_back(self, look: _Look, missing: list[int]) -> bool:
        """Whether this database once had what it lacks: told from a command merely on its way."""
        if look.recorded not in (None, look.incarnation):
            return True
        if look.instance == self._instance and look.marked < self._mark[1]:
            return True
        if not missing:
            return False
        oldest = await self.ledger.entry(missing[0])
        return clock.now() - oldest.at > _SURELY_APPLIED

    async def _apply(self, db: Database, position: int) -> None:
        sealed = await self.ledger.entry(position)
        async with db.transaction() as session:
            trouble = await erasure.apply(session, sealed.command(), self._eraser)
        crash.point("restore.after_position")
        if trouble is not None:
            raise trouble
        _reapplied.labels(self._service).inc()

    async def _refresh(self, connection: asyncpg.Connection) -> None:
        """Read the copy; it must hold what the database has applied."""
        highest = await connection.fetchrow(_HIGHEST)
        if highest is not None:
            await self.ledger.agree(*highest)
        await self.ledger.refresh()

    async def _missing(self, connection: asyncpg.Connection) -> list[int]:
        found = await connection.fetch(_MISSING, self.ledger.known, _AT_ONCE)
        return [row["wanted"] for row in found]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(
            self._url,
            timeout=10,
            command_timeout=60,
            server_settings={"application_name": f"ccib-{self._service}-restore"},
        )
        try:
            yield connection
        finally:
            await connection.close(timeout=2)

    @asynccontextmanager
    async def ungated(self) -> AsyncIterator[Database]:
        """The same database without the gate, for what must come before it opens."""
        db = Database(self._url, service=self._service, pool=2)
        try:
            yield db
        finally:
            await db.dispose()
