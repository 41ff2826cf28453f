"""A stand for the bus alone: two toy services, one database, one virtual host."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import aio_pika
import asyncpg
import httpx2
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import inbox, outbox, relay, tables, topology
from chassis.db import Database
from chassis.inbox import Delivery
from contracts.base import Event, Kind, PersonId
from tests.eye import Eye

PRODUCER, CONSUMER = "alpha", "beta"


class Happened(Event, owner="alpha", fact="happened", subject="thing_id"):
    thing_id: UUID
    number: int
    note: str | None = None


class Joined(Event, owner="alpha", fact="joined", subject="thing_id"):
    thing_id: UUID
    person_id: PersonId


class Unheard(Event, owner="alpha", fact="unheard", subject="thing_id"):
    """Nobody listens to it."""

    thing_id: UUID


class Ordered(Event, owner="alpha", fact="ordered", subject="thing_id", kind=Kind.COMMAND):
    """A command that no queue is bound to."""

    thing_id: UUID


effect = Table(
    "effect",
    metadata := tables.install(MetaData(naming_convention=tables.NAMING)),
    Column("place", BigInteger, Identity(always=True), primary_key=True),
    Column("event_id", Uuid, nullable=False),
    Column("thing_id", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("at", DateTime(timezone=True), server_default=func.clock_timestamp()),
)
member = Table(
    "member",
    metadata,
    Column("event_id", Uuid, primary_key=True),
    Column("person_id", Uuid, ForeignKey("data_subject.live_id")),
)


async def note_happened(session: AsyncSession, event: Happened, delivery: Delivery) -> None:
    """The handler of most tests: one row per call, so that a second call shows."""
    if event.note == "poison":
        raise RuntimeError
    await session.execute(
        effect.insert().values(
            event_id=delivery.event_id, thing_id=str(event.thing_id), number=event.number
        )
    )


async def note_joined(session: AsyncSession, event: Joined, delivery: Delivery) -> None:
    await session.execute(
        member.insert().values(event_id=delivery.event_id, person_id=event.person_id)
    )


HANDLERS: dict[type[Event], inbox.Handler[Any]] = {Happened: note_happened, Joined: note_joined}


@dataclass(kw_only=True)
class BusStand:
    vhost: str
    database_url: str
    broker: str
    management_url: str
    alpha: Database
    beta: Database
    running: dict[asyncio.Task[None], asyncio.Event] = field(default_factory=dict)
    eye: Eye = field(default_factory=Eye)

    def amqp_url(self, user: str) -> str:
        return f"amqp://{self.vhost}-{user}:pw-{user}@{self.broker}/{self.vhost}"

    @property
    def environment(self) -> dict[str, str]:
        """What a worker process of `tests.faults.bus_worker` needs to know."""
        return {
            "BUS_DATABASE": self.database_url,
            "BUS_ALPHA": self.amqp_url(PRODUCER),
            "BUS_BETA": self.amqp_url(CONSUMER),
        }

    async def publish(self, *events: Event) -> None:
        """In one transaction."""
        async with self.alpha.transaction() as session:
            outbox.publish(session, *events)

    def relay(self) -> "Running":
        return self.run(
            lambda stop: relay.run_relay(db=self.alpha, amqp_url=self.amqp_url(PRODUCER), stop=stop)
        )

    def consumer(self, handlers: Any = None, **more: Any) -> "Running":
        return self.run(
            lambda stop: inbox.run_consumer(
                db=self.beta,
                amqp_url=self.amqp_url(CONSUMER),
                queue=f"{CONSUMER}.events",
                handlers=handlers or HANDLERS,
                stop=stop,
                **more,
            )
        )

    def retries(self, handlers: Any = None) -> "Running":
        return self.run(
            lambda stop: inbox.run_retries(db=self.beta, handlers=handlers or HANDLERS, stop=stop)
        )

    def run(self, start: Callable[[asyncio.Event], Awaitable[None]]) -> "Running":
        stop = asyncio.Event()
        task = asyncio.ensure_future(start(stop))
        self.running[task] = stop
        return Running(stop, task)

    async def rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        return await self.eye.rows(self.database_url, sql, *arguments)

    async def value(self, sql: str, *arguments: Any) -> Any:
        return (await self.rows(sql, *arguments))[0][0]

    async def until(self, sql: str, *arguments: Any, seconds: float = 20) -> Any:
        """The first value of a query, once it is true."""
        for _ in range(int(seconds * 20)):
            with suppress(OSError, IndexError, asyncpg.PostgresError):
                if found := await self.value(sql, *arguments):
                    return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"not true in {seconds} s: {sql}; {await self.state()}")

    async def drained(self, seconds: float = 30) -> None:
        await self.until("SELECT NOT EXISTS (SELECT FROM outbox)", seconds=seconds)

    async def state(self) -> str:
        """What a failed wait should tell."""
        found = await self.rows(
            "SELECT 'inbox', state, reason, count(*) FROM inbox GROUP BY 2, 3 UNION ALL"
            " SELECT 'outbox', last_error, NULL, count(*) FROM outbox GROUP BY 2 UNION ALL"
            " SELECT 'effect', NULL, NULL, count(*) FROM effect"
        )
        return str([tuple(row) for row in found])

    async def effects(self) -> dict[str, list[int]]:
        """The numbers noted, by thing, in order."""
        noted: dict[str, list[int]] = {}
        for row in await self.rows("SELECT thing_id, number FROM effect ORDER BY place"):
            noted.setdefault(row["thing_id"], []).append(row["number"])
        return noted

    async def messages(self, queue: str, count: int) -> list[aio_pika.abc.AbstractIncomingMessage]:
        """Take so many messages out of a queue, waiting for them."""
        async with await self.admin() as connection:
            channel = await connection.channel()
            await channel.set_qos(count)
            found: list[aio_pika.abc.AbstractIncomingMessage] = []
            declared = await channel.get_queue(queue, ensure=False)

            async def note(message: aio_pika.abc.AbstractIncomingMessage) -> None:
                found.append(message)

            await declared.consume(note)
            for _ in range(400):
                if len(found) >= count:
                    break
                await asyncio.sleep(0.05)
            assert len(found) == count, f"{len(found)} of {count} messages in {queue}"
            await found[-1].ack(multiple=True)
            return found

    async def waiting(self, queue: str) -> int:
        """Messages that are ready in a queue."""
        async with await self.admin() as connection:
            channel = await connection.channel()
            declared = await channel.declare_queue(queue, passive=True)
            return int(declared.declaration_result.message_count or 0)

    async def send(
        self,
        body: bytes,
        *,
        key: str = Happened.routing_key(),
        user: str = PRODUCER,
        times: int = 1,
    ) -> None:
        """Publish bytes on the exchange of facts, without an outbox."""
        async with await aio_pika.connect(self.amqp_url(user)) as connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange("ccib.events", ensure=False)
            for _ in range(times):
                message = aio_pika.Message(body, user_id=f"{self.vhost}-{user}", delivery_mode=2)
                await exchange.publish(message, key)

    async def admin(self) -> aio_pika.abc.AbstractConnection:
        return await aio_pika.connect(self.amqp_url("admin"))

    def management(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.management_url, timeout=30)


@dataclass
class Running:
    """A loop of the chassis at work."""

    stop: asyncio.Event
    task: "asyncio.Future[None]"

    async def end(self) -> None:
        """Ask it to stop, and wait; raises what it raised."""
        self.stop.set()
        await asyncio.wait_for(self.task, 15)


def an_envelope(event: Event, *, event_id: UUID | None = None) -> bytes:
    """The body of a message, as an outbox would write it."""
    return json.dumps(
        {
            "specversion": "1.0",
            "id": str(event_id or uuid4()),
            "source": f"/services/{event.owner}",
            "type": event.event_type(),
            "subject": event.subject,
            "time": "2026-01-01T00:00:00Z",
            "data": event.model_dump(mode="json"),
        }
    ).encode()


def definitions_of(vhost: str, consumes: Iterable[type[Event]] = (Happened, Joined)) -> Any:
    """The topology of the two services, and an administrator of this virtual host only."""
    wanted = topology.definitions(
        vhost=vhost,
        prefix=f"{vhost}-",
        passwords={PRODUCER: f"pw-{PRODUCER}", CONSUMER: f"pw-{CONSUMER}"},
        consumes={CONSUMER: consumes},
    )
    admin = f"{vhost}-admin"
    wanted["users"].append({"name": admin, "password": "pw-admin", "tags": ""})
    wanted["permissions"].append(
        {"user": admin, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"}
    )
    # Alpha stands for any service here: it may give commands, and use an exchange that is missing.
    for one in wanted["permissions"]:
        if one["user"] == f"{vhost}-{PRODUCER}":
            one["write"] = r"^(ccib\.events|ccib\.acks|ccib\.commands|missing)$"
    return wanted


@asynccontextmanager
async def bus_standing(servers: SimpleNamespace) -> AsyncIterator[BusStand]:
    """A fresh database and a fresh virtual host, removed afterwards."""
    name = f"bus{secrets.token_hex(5)}"
    connection = await asyncpg.connect(servers.postgres_url)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    database_url = f"{servers.postgres_url.rpartition('/')[0]}/{name}"
    alpha, beta = (Database(database_url, service=one, pool=5) for one in (PRODUCER, CONSUMER))
    async with alpha.engine.begin() as setup:
        await setup.run_sync(metadata.create_all)
    await topology.apply(servers.management_url, definitions_of(name))
    broker = urlsplit(servers.amqp_url)
    stand = BusStand(
        vhost=name,
        database_url=database_url,
        broker=f"{broker.hostname}:{broker.port}",
        management_url=servers.management_url,
        alpha=alpha,
        beta=beta,
    )
    try:
        yield stand
    finally:
        for stop in stand.running.values():
            stop.set()
        if stand.running:
            await asyncio.wait(stand.running, timeout=10)
        for each in (alpha.dispose, beta.dispose, stand.eye.close):
            await each()
        async with stand.management() as client:
            await client.delete(f"/api/vhosts/{name}")
            for user in (PRODUCER, CONSUMER, "admin"):
                await client.delete(f"/api/users/{name}-{user}")
        connection = await asyncpg.connect(servers.postgres_url)  # the server may be another by now
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()
