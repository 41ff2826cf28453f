"""The bus beside bare publishing and consuming: the relay and the inbox at full load."""

import asyncio
from collections.abc import Sequence
from functools import partial
from statistics import median
from uuid import uuid4

import asyncpg
from prometheus_client import REGISTRY

from bench.counting import counted_statements
from bench.figures import Figure, Goal, Ground, Measure, Stopwatch, beside, in_turns
from bench.references import consuming, publishing
from chassis import relay
from tests.bus import CONSUMER, PRODUCER, BusStand, Happened, an_envelope, bus_standing, effect

QUEUE = f"{CONSUMER}.events"
PLENTY, EVENTS = 200, 5_000
"""Active aggregates, and events, of the relay at saturation."""
FEWER = {20: 2_000, 5: 800, 1: 200}
"""The same with fewer aggregates: each has one message in flight, so that few of them must wait."""


async def relaying(ground: Ground) -> Sequence[Figure]:
    """The relay beside publishing without an outbox."""
    async with bus_standing(ground.servers) as bus:
        sides = {
            "measured": partial(_relayed, bus, things=PLENTY, events=ground.size(EVENTS)),
            "reference": partial(_published, bus, events=ground.size(EVENTS)),
            **{
                f"{things}": partial(_relayed, bus, things=things, events=ground.size(events))
                for things, events in FEWER.items()
            },
        }
        await sides["reference"]()  # both have met the servers before
        rounds = await in_turns(ground.rounds, **sides)
    reference = f"aio-pika, {publishing.WINDOW} in flight"
    rows = [
        beside(
            name=f"relay, {PLENTY} aggregates",
            unit="events/s",
            reference_name=reference,
            rounds={side: rounds[side] for side in ("measured", "reference")},
            goal=Goal(of="ratio", at_least=0.7),
            events=ground.size(EVENTS),
        )
    ]
    rows += [
        beside(
            name=f"relay, {things} aggregate{'s' if things > 1 else ''}",
            unit="events/s",
            reference_name=reference,
            rounds={"measured": rounds[f"{things}"], "reference": rounds["reference"]},
            events=ground.size(events),
        )
        for things, events in FEWER.items()
    ]
    return rows


async def statements_of_the_relay(ground: Ground) -> Sequence[Figure]:
    """What the relay sends to its database for one event, when it always finds a full batch."""
    per_event = []
    events = ground.size(EVENTS)
    for _ in range(ground.rounds):
        async with bus_standing(ground.servers) as bus:
            # Its connection is opened in the block; the writers' were opened before.
            await commit(bus, things=PLENTY, events=1)
            with counted_statements(database=bus.vhost) as counted:
                await _relayed(bus, things=PLENTY, events=events)
            per_event.append(counted.total() / events)
    return [
        Figure(
            name="relay, SQL statements per event",
            unit="",
            measured=median(per_event),
            goal=Goal(of="measured", at_most=0.05),
            rounds={"measured": per_event},
            details={"events": events, "batch": relay.BATCH},
        )
    ]


async def consuming_events(ground: Ground) -> Sequence[Figure]:
    """The inbox beside consuming without one."""
    events = ground.size(3_000)
    async with bus_standing(ground.servers) as bus:
        bare = await asyncpg.connect(bus.database_url)
        sides = {
            "measured": partial(_consumed, bus, events=events),
            "reference": partial(
                _raw_consumed,
                bus,
                write=consuming.with_sqlalchemy(bus.alpha.engine, effect),
                events=events,
            ),
            "driver": partial(
                _raw_consumed, bus, write=consuming.with_asyncpg(bare), events=events
            ),
        }
        await sides["reference"]()
        rounds = await in_turns(ground.rounds, **sides)
        await bare.close()
    return [
        beside(
            name="inbox, 200 aggregates",
            unit="events/s",
            reference_name="consume, same insert, commit, ack",
            rounds={side: rounds[side] for side in ("measured", "reference")},
            goal=Goal(of="ratio", at_least=0.7),
            events=events,
        ),
        beside(
            name="inbox, beside the bare driver",
            unit="events/s",
            reference_name="the same, row by asyncpg",
            rounds={"measured": rounds["measured"], "reference": rounds["driver"]},
            events=events,
        ),
    ]


async def commit(bus: BusStand, *, things: int, events: int) -> None:
    """Commit so many events of so many aggregates in one transaction."""
    ids = [uuid4() for _ in range(things)]
    await bus.publish(
        *(Happened(thing_id=ids[n % things], number=n // things) for n in range(events))
    )


async def _relayed(bus: BusStand, *, things: int, events: int) -> float:
    """Events per second from the commit of all of them until no row is left."""
    running = bus.relay()
    while not await bus.value(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'ccib-alpha-relay'"
        " AND datname = current_database())"
    ):
        await asyncio.sleep(0.02)
    before = _acknowledged()
    await commit(bus, things=things, events=events)
    watch = Stopwatch()
    while _acknowledged() - before < events:
        await asyncio.sleep(0.02)
    await bus.drained()
    seconds = watch.seconds
    await running.end()
    await _purge(bus)
    return events / seconds


def _acknowledged() -> float:
    labels = {"service": PRODUCER, "outcome": "acknowledged"}
    return REGISTRY.get_sample_value("outbox_published_total", labels) or 0


async def _published(bus: BusStand, *, events: int) -> float:
    seconds = await publishing.publish(
        bus.amqp_url(PRODUCER),
        exchange="ccib.events",
        routing_key=Happened.routing_key(),
        user_id=f"{bus.vhost}-{PRODUCER}",
        bodies=bodies(events, things=PLENTY),
    )
    await _purge(bus)
    return events / seconds


async def _consumed(bus: BusStand, *, events: int) -> float:
    await _fill(bus, events)
    watch = Stopwatch()
    running = bus.consumer()
    await bus.until("SELECT count(*) = $1 FROM inbox WHERE state = 'done'", events, seconds=120)
    seconds = watch.seconds
    await running.end()
    await bus.rows("TRUNCATE inbox, effect")
    return events / seconds


async def _raw_consumed(bus: BusStand, *, write: consuming.Write, events: int) -> float:
    await _fill(bus, events)
    seconds = await consuming.consume(
        bus.amqp_url(CONSUMER), queue=QUEUE, count=events, write=write
    )
    await bus.rows("TRUNCATE inbox, effect")
    return events / seconds


async def _fill(bus: BusStand, events: int) -> None:
    await publishing.publish(
        bus.amqp_url(PRODUCER),
        exchange="ccib.events",
        routing_key=Happened.routing_key(),
        user_id=f"{bus.vhost}-{PRODUCER}",
        bodies=bodies(events, things=PLENTY),
    )


def bodies(events: int, *, things: int) -> list[bytes]:
    """Messages as the relay sends them, made before anything is measured."""
    ids = [uuid4() for _ in range(things)]
    return [
        an_envelope(Happened(thing_id=ids[n % things], number=n // things)) for n in range(events)
    ]


async def _purge(bus: BusStand) -> None:
    async with await bus.admin() as connection:
        channel = await connection.channel()
        await (await channel.get_queue(QUEUE, ensure=False)).purge()


FIGURES: Sequence[Measure] = (relaying, statements_of_the_relay, consuming_events)
