"""The system under test, seen by the suite: three adapters, and theirs for the toy services.

Everything else here - proxies, schedules, histories, the checker, the table - knows the system only
through them. Whoever wants to try another outbox, relay or consumer writes these three again.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import aio_pika
import asyncpg

from tests.bus import BusStand, Happened
from tests.faults.history import History, token
from tests.faults.workers import worker

TAP = "tap"
_PREFETCH = 200


@dataclass(frozen=True, kw_only=True)
class Committed:
    """An event that stands in the producer's database."""

    event: str
    aggregate: str
    sequence: int
    """Its place among the commits of its aggregate."""
    op: str
    """What its writer called it: `aggregate/number`."""


class Publishing(Protocol):
    """The producer's side."""

    async def commit(self, *events: tuple[UUID, int], note: str | None = None) -> None:
        """Commit a transaction that publishes, for each aggregate and number, one event.

        `note` says what an event does to its handler: see `tests.faults.bus_worker`.
        """

    async def committed(self) -> list[Committed]:
        """All that was ever committed, whatever the writers were told."""

    async def published(self) -> list[str]:
        """The events that the producer has given up for published, by id."""


class Consuming(Protocol):
    """The consumer's side, and the broker between."""

    async def effects(self) -> list[tuple[str, float]]:
        """Each effect, in order: the event's id, and when, in seconds since 1970."""

    async def dead(self) -> list[str]:
        """Dead letters: the `op` of an event, or the `token` of what is none."""

    async def settled(self) -> bool:
        """Whether nothing is on its way any more: all published, all effective or dead."""

    def tapped(self, history: History) -> AbstractAsyncContextManager[object]:
        """Note in the history all that the broker hands out, during the block."""


class Process(Protocol):
    """One running process."""

    @property
    def returncode(self) -> int | None: ...
    def kill(self) -> None: ...
    def terminate(self) -> None: ...
    async def wait(self) -> int: ...


class Processes(Protocol):
    """Starting the system's processes, by role: relay, consumer, writer."""

    def start(self, role: str, *, clock: float = 0) -> AbstractAsyncContextManager[Process]:
        """Run one during the block, its clock wrong by so many seconds."""


# --- the toy services of `tests.bus` ---------------------------------------------------------------

_WATCH = """
CREATE TABLE told_committed (
    place bigint GENERATED ALWAYS AS IDENTITY, event_id uuid, aggregate text, body bytea,
    at timestamptz DEFAULT clock_timestamp()
);
CREATE TABLE told_published (event_id uuid, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION tell_committed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO told_committed (event_id, aggregate, body)
    SELECT event_id, aggregate, body FROM fresh ORDER BY id;
    RETURN NULL;
END $$;
CREATE FUNCTION tell_published() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO told_published (event_id) SELECT event_id FROM gone;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_committed AFTER INSERT ON outbox REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION tell_committed();
CREATE TRIGGER tell_published AFTER DELETE ON outbox REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION tell_published();
"""
_SETTLED = """
SELECT NOT EXISTS (SELECT FROM outbox)
    AND NOT EXISTS (SELECT FROM inbox WHERE state = 'waiting')
    AND (SELECT count(*) FROM told_committed) =
        (SELECT count(*) FROM inbox WHERE event_id IN (SELECT event_id FROM told_committed))
"""


class ToyPublishing:
    """An outbox; triggers of the database itself tell what came into it and what left it."""

    def __init__(self, bus: BusStand) -> None:
        self._bus = bus

    async def watch(self) -> None:
        """Begin to remember."""
        connection = await asyncpg.connect(self._bus.database_url)
        try:
            await connection.execute(_WATCH)
        finally:
            await connection.close()

    async def commit(self, *events: tuple[UUID, int], note: str | None = None) -> None:
        await self._bus.publish(
            *(Happened(thing_id=thing, number=number, note=note) for thing, number in events)
        )

    async def committed(self) -> list[Committed]:
        found = []
        for row in await self._bus.rows("SELECT event_id, aggregate, body FROM told_committed"):
            found.append(
                Committed(
                    event=str(row["event_id"]),
                    aggregate=row["aggregate"],
                    sequence=json.loads(row["body"])["sequence"],
                    op=op_of(row["body"]) or "",
                )
            )
        return found

    async def published(self) -> list[str]:
        return [str(row[0]) for row in await self._bus.rows("SELECT event_id FROM told_published")]


class ToyConsuming:
    """An inbox, its table of effects, its dead letters; a queue beside its own is the tap."""

    consumers = ("beta",)

    def __init__(self, bus: BusStand) -> None:
        self._bus = bus
        self.bodies: list[bytes] = []
        """The latest messages, to be said again."""

    async def effects(self) -> list[tuple[str, float]]:
        rows = await self._bus.rows(
            "SELECT event_id, extract(epoch FROM at)::float8 AS at FROM effect ORDER BY place"
        )
        return [(str(row["event_id"]), row["at"]) for row in rows]

    async def dead(self) -> list[str]:
        rows = await self._bus.rows("SELECT body FROM inbox WHERE state IN ('dead', 'parked')")
        bodies = [row["body"] for row in rows]
        if count := await self._bus.waiting("beta.dead"):
            bodies += [message.body for message in await self._bus.messages("beta.dead", count)]
        return [op_of(body) or token(body) for body in bodies]

    async def settled(self) -> bool:
        with suppress(OSError, asyncpg.PostgresError):
            return bool(await self._bus.value(_SETTLED))
        return False

    @asynccontextmanager
    async def tapped(self, history: History) -> AsyncIterator[None]:
        """Follows the broker through its restarts; what it hands out twice is noted twice."""
        async with await self._bus.admin() as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(
                TAP, durable=True, arguments={"x-queue-type": "quorum"}
            )
            await queue.bind("ccib.events", "#")
        following = asyncio.create_task(self._follow(history))
        try:
            yield
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following

    async def _follow(self, history: History) -> None:
        seen: set[object] = set()

        async def note(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            line: dict[str, object] = {"event": token(message.body)}
            if op_of(message.body):
                body = json.loads(message.body)
                line = {"event": body["id"], "aggregate": body["subject"]}
                line["sequence"] = body["sequence"]
                self.bodies = [*self.bodies[-99:], message.body]
                seen.add(body["id"])
            history.note("delivered", redelivered=bool(message.redelivered), **line)
            history.delivered = len(seen)
            await message.ack()

        while True:
            with suppress(OSError, RuntimeError, aio_pika.exceptions.AMQPError):
                async with await self._bus.admin() as connection:
                    channel = await connection.channel()
                    gone = asyncio.Event()
                    channel.close_callbacks.add(lambda *_, gone=gone: gone.set())
                    await channel.set_qos(_PREFETCH)
                    await (await channel.get_queue(TAP, ensure=False)).consume(note)
                    await gone.wait()
            await asyncio.sleep(0.2)


LOOPS = {"relay": ["relay"], "consumer": ["consumer", "retries"], "writer": ["writer"]}


class ToyProcesses:
    """`tests.faults.bus_worker`."""

    def __init__(self, bus: BusStand, history: History, things: Sequence[UUID]) -> None:
        self._bus = bus
        self._more = {
            "BUS_THINGS": ",".join(map(str, things)),
            "BUS_HISTORY": str(history.path),
            **bus.environment,
        }
        """What is on the stand now: also when its broker is behind a proxy."""
        self._generation = 0

    @asynccontextmanager
    async def start(self, role: str, *, clock: float = 0) -> AsyncIterator[Process]:
        self._generation += 1
        more = {**self._more, "BUS_CLOCK": str(clock), "BUS_FIRST": str(self._generation * 100_000)}
        async with worker(self._bus, *LOOPS[role], more=more) as process:
            yield process


def op_of(body: bytes) -> str | None:
    """What the writer called the event of this message; None when no writer of ours made it."""
    try:
        found = json.loads(body)
        return f"{found['subject']}/{found['data']['number']}" if found["sequence"] else None
    except (ValueError, KeyError):
        return None
