"""The relay: moves outbox rows to the broker, in order per aggregate, and never loses one.

A row leaves the table only when the broker has acknowledged it. Dying in between sends it again: a
duplicate, which every inbox ignores. Within an aggregate a row is sent only after the one before it
was acknowledged, by whichever relay, so first occurrences are in order with any number of relays;
the slot locks only keep them from doing each other's work.
"""

import asyncio
import contextlib
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import structlog
from prometheus_client import Counter

from chassis import crash, outbox, tracing
from chassis.bus import BROKEN, Backoff, Outcome, Publisher, jittered, wait_any
from chassis.db import Database
from chassis.errors import ReconcilingError

BATCH = 500
WINDOW = 150
"""Messages in flight at once, over all aggregates; beyond 200 the broker gains nothing."""
POLL_S = 0.5
"""The floor, for rows whose bell rang in a process that died, or in none."""
CONTENDED_S = 0.02
"""Pause before looking again for rows whose slot another relay held."""
LONGEST_REFUSAL_S = 60.0
DISTRUST_S = 3.0
"""A channel of this age over which a queue refuses is left for a new one.

RabbitMQ keeps with the channel that a quorum queue is full, until the queue falls below its limit: when an
operator takes the limit away, it never hears, and refuses for ever what the queue would take.
"""

_LOCKS = 0x43434942
_PRESENCE = 0x43434943
_LOST = (
    *BROKEN,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    ReconcilingError,
)

_published = Counter("outbox_published_total", "Messages by outcome", ["service", "outcome"])

logger = structlog.get_logger()

# A relay that finds work everywhere takes its share of the slots only.
_TAKE_SLOTS = f"""
SELECT slot FROM unnest($1::int[]) slot WHERE pg_try_advisory_lock({_LOCKS}, slot)
LIMIT (
    SELECT CASE WHEN $2 THEN ceil({outbox.SLOTS}.0 / greatest(count(*), 1)) END FROM pg_locks
    WHERE locktype = 'advisory' AND classid = {_PRESENCE} AND objsubid = 2
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
"""  # noqa: S608 - constants only
_LEAVE_SLOTS = f"SELECT pg_advisory_unlock({_LOCKS}, slot) FROM unnest($1::int[]) slot"  # noqa: S608
_SELECT = """
SELECT id, event_id, aggregate, exchange, routing_key, body, attempts FROM outbox o
WHERE slot = ANY($1) AND (blocked_until IS NULL OR blocked_until <= now())
AND NOT EXISTS (
    SELECT FROM outbox b WHERE b.aggregate = o.aggregate AND b.id < o.id AND b.blocked_until > now()
)
ORDER BY id LIMIT $2
"""
_DELETE = "DELETE FROM outbox WHERE id = ANY($1)"
_BLOCK = """
UPDATE outbox SET attempts = attempts + 1, last_error = b.error,
    blocked_until = CASE WHEN b.seconds IS NULL THEN 'infinity'
        ELSE now() + b.seconds * interval '1 second' END
FROM unnest($1::bigint[], $2::text[], $3::float8[]) b (id, error, seconds)
WHERE outbox.id = b.id
"""
_LOOK = "SELECT EXISTS (SELECT FROM outbox WHERE blocked_until IS NULL OR blocked_until <= now())"


async def run_relay(*, db: Database, amqp_url: str, stop: asyncio.Event) -> None:
    """Relay this service's outbox until `stop`; what is in flight then is finished first.

    A lost broker or database is waited for; nothing is raised.
    """
    backoff = Backoff(longest=3.0)
    careful = False
    while not stop.is_set():
        try:
            async with _connection(db) as connection, await Publisher.open(amqp_url) as publisher:
                relay = _Relay(db, connection, publisher, stop, careful=careful)
                try:
                    await relay.work(backoff)
                finally:
                    careful = relay.careful
        except _LOST as error:
            logger.warning("relay_lost_connection", error=type(error).__name__)
        if not stop.is_set():
            await wait_any(stop, within=backoff.next())


@asynccontextmanager
async def _connection(db: Database) -> AsyncIterator[asyncpg.Connection]:
    """A direct connection: session locks do not survive a transaction pooler.

    The planner must not trust statistics here: they were taken when the table was empty.
    """
    connection = await asyncpg.connect(
        db.url,
        timeout=10,
        command_timeout=30,
        server_settings={
            "application_name": f"ccib-{db.service}-relay",
            "timezone": "UTC",
            "plan_cache_mode": "force_generic_plan",
            "max_parallel_workers_per_gather": "0",
            **dict.fromkeys(
                ("enable_seqscan", "enable_sort", "enable_hashjoin", "enable_mergejoin"), "off"
            ),
        },
    )
    try:
        if db.gate is not None:
            await db.gate.admit(connection)
        await connection.execute(f"SELECT pg_advisory_lock_shared({_PRESENCE}, 0)")
        yield connection
    finally:
        with contextlib.suppress(*_LOST):
            await connection.close(timeout=2)


class _Relay:
    """The work on one pair of connections."""

    def __init__(
        self,
        db: Database,
        connection: asyncpg.Connection,
        publisher: Publisher,
        stop: asyncio.Event,
        *,
        careful: bool,
    ) -> None:
        self._service = db.service
        self._bell = db.bells[outbox.BELL]
        self._connection = connection
        self._publisher = publisher
        self._stop = stop
        self._saturated = False
        self._opened, self._refused = time.monotonic(), False
        self.careful = careful
        """One message at a time: one of them makes the broker close the channel."""

    async def work(self, backoff: Backoff) -> None:
        """Until `stop`, or until the publisher is broken."""
        ready = True
        while not self._stop.is_set():
            self._bell.clear()
            done, contended = await self._batch() if ready else (0, False)
            if done:
                backoff.reset()
            if self._publisher.broken or self._distrusted():
                return
            if done and self._saturated:
                continue
            pause = CONTENDED_S if contended else POLL_S
            await wait_any(self._bell, self._stop, within=jittered(pause))
            ready = self._bell.is_set() or await self._look()

    def _distrusted(self) -> bool:
        return self._refused and time.monotonic() - self._opened > DISTRUST_S

    async def _look(self) -> bool:
        """Whether there is anything to do; the one statement of an idle relay."""
        return bool(await self._connection.fetchval(_LOOK))

    async def _batch(self) -> tuple[int, bool]:
        """Relay what is ready; returns how many rows were settled, and whether slots were taken."""
        order = random.sample(range(outbox.SLOTS), outbox.SLOTS)
        taken = [row["slot"] for row in await self._connection.fetch(
            _TAKE_SLOTS, order, self._saturated
        )]  # fmt: skip
        try:
            # Its own statement: its snapshot is later than the last commit of whoever had the lock.
            rows = await self._connection.fetch(_SELECT, taken, BATCH) if taken else []
            self._saturated = len(rows) == BATCH
            settled = await self._settle(rows, await self._publish(rows)) if rows else 0
        finally:
            if taken and not self._connection.is_closed():
                await self._connection.execute(_LEAVE_SLOTS, taken)
        return settled, len(taken) < outbox.SLOTS

    async def _publish(self, rows: Sequence[Mapping[str, Any]]) -> dict[int, Outcome]:
        """Publish in order per aggregate, stopping an aggregate at its first failure."""
        chains: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for row in rows:
            chains["" if self.careful else row["aggregate"]].append(row)
        window = asyncio.Semaphore(1 if self.careful else WINDOW)
        outcomes: dict[int, Outcome] = {}
        await asyncio.gather(*(self._chain(chain, window, outcomes) for chain in chains.values()))
        return outcomes

    async def _chain(
        self,
        rows: Iterable[Mapping[str, Any]],
        window: asyncio.Semaphore,
        outcomes: dict[int, Outcome],
    ) -> None:
        stuck: set[str] = set()
        for row in rows:
            if row["aggregate"] in stuck:
                continue
            async with window:
                if self._publisher.broken or self._stop.is_set():
                    return
                key, body = row["routing_key"], row["body"]
                with tracing.span("send", key, parent=tracing.parent_of(body)):
                    crash.point("relay.before_publish")
                    outcome = await self._publisher.publish(
                        row["exchange"], key, body, str(row["event_id"])
                    )
                    crash.point("relay.after_confirm")
            outcomes[row["id"]] = outcome
            if outcome is not Outcome.ACKNOWLEDGED:
                stuck.add(row["aggregate"])

    async def _settle(
        self, rows: Sequence[Mapping[str, Any]], outcomes: Mapping[int, Outcome]
    ) -> int:
        """Write down what became of the rows: one statement, and a second if some were not taken."""
        for outcome in set(outcomes.values()):
            count = sum(one is outcome for one in outcomes.values())
            _published.labels(self._service, outcome.value).inc(count)
        crash.point("relay.after_ack_before_mark")
        acknowledged = [row for row, outcome in outcomes.items() if outcome is Outcome.ACKNOWLEDGED]
        if acknowledged:
            await self._connection.execute(_DELETE, acknowledged)
            crash.point("relay.after_mark")
        blocked: list[tuple[int, str, float | None]] = []
        for row in rows:
            match outcomes.get(row["id"]):
                case (Outcome.RETURNED | Outcome.IMPOSSIBLE) as reason:
                    blocked.append((row["id"], reason.value, None))
                    logger.error(
                        "outbox_parked",
                        event_id=str(row["event_id"]),
                        exchange=row["exchange"],
                        routing_key=row["routing_key"],
                        reason=reason.value,
                    )
                case Outcome.REFUSED as reason:
                    self._refused = True
                    seconds = jittered(min(LONGEST_REFUSAL_S, 2.0 ** row["attempts"]))
                    blocked.append((row["id"], reason.value, seconds))
        if blocked:
            await self._connection.execute(_BLOCK, *map(list, zip(*blocked, strict=True)))
            crash.point("relay.after_block")
        # One bad message breaks the channel for all in flight: go on singly until it is found.
        self.careful = self._publisher.suspicious or (self.careful and self._publisher.broken)
        return len(acknowledged) + len(blocked)
