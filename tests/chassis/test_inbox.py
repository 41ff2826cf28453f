import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import clock, handling, inbox, outbox, subjects
from chassis.inbox import Delivery
from contracts.base import Event
from tests.bus import (
    HANDLERS,
    BusStand,
    Happened,
    Joined,
    an_envelope,
    note_happened,
    note_joined,
)

DONE = "SELECT count(*) = $1 FROM inbox WHERE state = 'done'"


def things(count: int) -> list[UUID]:
    return [uuid4() for _ in range(count)]


@pytest.fixture
def shifted() -> Iterator[None]:
    """Puts this process's clock back at the end."""
    before = clock._offset
    yield
    clock.shift(before)
    clock.rehearse(timedelta(0))


def late_events() -> float:
    return REGISTRY.get_sample_value("late_events_refused_total", {"service": "beta"}) or 0


async def test_each_event_takes_effect_once_and_in_order(bus: BusStand) -> None:
    running = [bus.relay(), bus.consumer(), bus.retries()]
    subjects_ = things(30)
    for number in range(20):
        await bus.publish(*(Happened(thing_id=thing, number=number) for thing in subjects_))
    await bus.until(DONE, 600)
    assert await bus.effects() == {str(thing): list(range(20)) for thing in subjects_}
    for one in running:
        await one.end()
    assert await bus.waiting("beta.events") == 0


async def test_a_batch_costs_a_few_statements_beside_its_handlers(bus: BusStand) -> None:
    counted: Counter[str] = Counter()

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        counted[" ".join(statement.split()[0:3:2])] += 1

    await bus.publish(*(Happened(thing_id=thing, number=1) for thing in things(400)))
    relay = bus.relay()
    await bus.drained()
    await relay.end()
    engine = bus.beta.engine.sync_engine
    sqlalchemy_event.listen(engine, "before_cursor_execute", note)
    running = bus.consumer()
    await bus.until(DONE, 400)
    await running.end()
    sqlalchemy_event.remove(engine, "before_cursor_execute", note)
    assert counted["INSERT effect"] == 400
    assert counted.total() - 400 <= 60, counted


async def test_a_repeated_event_has_no_second_effect(bus: BusStand) -> None:
    running = [bus.consumer()]
    event, other, event_id = Happened(thing_id=uuid4(), number=1), uuid4(), uuid4()
    await bus.send(an_envelope(event, event_id=event_id), times=25)
    await bus.until(DONE, 1)
    await bus.send(an_envelope(event, event_id=event_id), times=25)
    await bus.send(an_envelope(Happened(thing_id=other, number=1)))
    await bus.until(DONE, 2)
    assert await bus.effects() == {str(event.thing_id): [1], str(other): [1]}
    for one in running:
        await one.end()


async def test_a_handler_is_told_who_spoke_and_what_trace_it_continues(bus: BusStand) -> None:
    seen: list[tuple[Happened, Delivery, Any]] = []

    async def note(session: AsyncSession, event: Happened, delivery: Delivery) -> None:
        seen.append((event, delivery, session.info["traceparent"]))

    trace = f"00-{'c' * 32}-{'d' * 16}-01"
    running = [bus.relay(), bus.consumer({Happened: note})]
    async with bus.alpha.transaction() as session:
        session.info["traceparent"] = trace
        outbox.publish(session, Happened(thing_id=uuid4(), number=7))
    await bus.until(DONE, 1)
    ((event, delivery, traceparent),) = seen
    assert (event.number, delivery.sequence, traceparent) == (7, 1, trace)
    assert delivery.sender == f"{bus.vhost}-alpha"
    assert delivery.source == "/services/alpha"
    assert not delivery.redelivered
    for one in running:
        await one.end()


async def test_a_failing_event_holds_back_its_aggregate_and_nobody_else(bus: BusStand) -> None:
    broken, fine = uuid4(), things(20)
    repaired = asyncio.Event()

    async def stumble(session: AsyncSession, event: Happened, delivery: Delivery) -> None:
        if event.thing_id == broken and event.number == 1 and not repaired.is_set():
            raise RuntimeError("secret words of somebody")
        await note_happened(session, event, delivery)

    running = [bus.relay(), bus.consumer({Happened: stumble}), bus.retries({Happened: stumble})]
    for number in range(4):
        await bus.publish(*(Happened(thing_id=one, number=number) for one in [broken, *fine]))
    await bus.until(DONE, 81)
    effects = await bus.effects()
    assert effects == {str(broken): [0], **{str(thing): [0, 1, 2, 3] for thing in fine}}
    rows = await bus.rows(
        "SELECT aggregate, reason, body IS NOT NULL FROM inbox WHERE state = 'waiting' ORDER BY \"order\""
    )
    assert {row["aggregate"] for row in rows} == {str(broken)}
    assert [row["reason"] for row in rows] == ["RuntimeError", "in-line", "in-line"]
    repaired.set()
    await bus.until(DONE, 84, seconds=15)  # after the pause of five seconds
    assert (await bus.effects())[str(broken)] == [0, 1, 2, 3]
    assert not await bus.value("SELECT count(*) FROM inbox WHERE body IS NOT NULL")
    for one in running:
        await one.end()


async def test_an_event_that_fails_every_time_becomes_a_dead_letter_and_frees_its_aggregate(
    bus: BusStand, shifted: None
) -> None:
    thing = uuid4()
    running = [bus.relay(), bus.consumer(), bus.retries()]
    await bus.publish(
        Happened(thing_id=thing, number=1, note="poison"), Happened(thing_id=thing, number=2)
    )
    for attempts, pause in ((2, 5), (3, 60), (4, 600)):
        # Put off, not only claimed: what is put off once the clock has gone on waits for as long again.
        await bus.until(
            "SELECT EXISTS (SELECT FROM inbox WHERE attempts = $1 AND retry_at > $2)",
            attempts,
            clock.now() + timedelta(seconds=pause / 2),
        )
        assert await bus.effects() == {}
        clock.rehearse(clock.rehearsed() + timedelta(seconds=pause))
    await bus.until("SELECT EXISTS (SELECT FROM inbox WHERE state = 'dead')")
    await bus.until(DONE, 1)
    assert await bus.effects() == {str(thing): [2]}
    (dead,) = await bus.rows("SELECT reason, type, body FROM inbox WHERE state = 'dead'")
    assert (dead["reason"], dead["type"]) == ("RuntimeError", Happened.event_type())
    assert json.loads(dead["body"])["subject"] == str(thing)
    for one in running:
        await one.end()


async def test_an_event_about_an_erased_person_has_no_effect_and_is_counted(bus: BusStand) -> None:
    gone, present = uuid4(), uuid4()
    async with bus.beta.transaction() as session:
        await subjects.ensure(session, gone, present)
        await session.execute(
            text("UPDATE data_subject SET erased_at = now() WHERE id = :id"), {"id": gone}
        )
    before = late_events()
    running = [bus.relay(), bus.consumer()]
    await bus.publish(*(Joined(thing_id=uuid4(), person_id=one) for one in (gone, present, gone)))
    await bus.until("SELECT count(*) = 3 FROM inbox")
    states = await bus.rows('SELECT state FROM inbox ORDER BY "order"')
    assert [row["state"] for row in states] == ["fenced", "done", "fenced"]
    assert await bus.value("SELECT array_agg(person_id) FROM member") == [present]
    assert late_events() == before + 2
    for one in running:
        await one.end()


async def test_an_erasure_that_overtakes_the_handler_fences_the_event(bus: BusStand) -> None:
    person = uuid4()
    async with bus.beta.transaction() as session:
        await subjects.ensure(session, person)

    async def be_overtaken(session: AsyncSession, event: Joined, delivery: Delivery) -> None:
        async with bus.beta.transaction() as other:
            await other.execute(text("UPDATE data_subject SET erased_at = now()"))
        await note_joined(session, event, delivery)

    running = [bus.relay(), bus.consumer({**HANDLERS, Joined: be_overtaken})]
    await bus.publish(
        Happened(thing_id=uuid4(), number=1),
        Joined(thing_id=uuid4(), person_id=person),
        Happened(thing_id=uuid4(), number=1),
    )
    await bus.until("SELECT count(*) = 3 FROM inbox")
    assert await bus.value("SELECT count(*) FROM inbox WHERE state = 'fenced'") == 1
    assert await bus.value("SELECT count(*) FROM member") == 0
    assert len(await bus.effects()) == 2
    for one in running:
        await one.end()


async def test_an_event_that_comes_before_its_person_waits_instead_of_being_fenced(
    bus: BusStand,
) -> None:
    person = uuid4()
    running = [bus.relay(), bus.consumer(), bus.retries()]
    await bus.publish(Joined(thing_id=uuid4(), person_id=person))
    await bus.until("SELECT EXISTS (SELECT FROM inbox WHERE state = 'waiting' AND attempts = 2)")
    async with bus.beta.transaction() as session:
        await subjects.ensure(session, person)
    await bus.until(DONE, 1)
    assert await bus.value("SELECT array_agg(person_id) FROM member") == [person]
    for one in running:
        await one.end()


async def test_an_unknown_type_is_parked_until_a_release_that_knows_it(bus: BusStand) -> None:
    thing = uuid4()
    running = [bus.relay(), bus.consumer({Joined: note_joined}), bus.retries({Joined: note_joined})]
    await bus.publish(Happened(thing_id=thing, number=1))
    await bus.until("SELECT EXISTS (SELECT FROM inbox WHERE state = 'parked')")
    (parked,) = await bus.rows("SELECT reason, body FROM inbox")
    assert parked["reason"] == "unknown-type"
    assert json.loads(parked["body"])["data"]["number"] == 1
    for one in running:
        await one.end()
    newer = bus.retries()
    await bus.until(DONE, 1)
    assert await bus.effects() == {str(thing): [1]}
    await newer.end()


async def test_data_against_the_schema_is_parked(bus: BusStand) -> None:
    running = bus.consumer()
    broken = json.loads(an_envelope(Happened(thing_id=uuid4(), number=1)))
    broken["data"]["number"] = "many"
    await bus.send(json.dumps(broken).encode())
    await bus.until("SELECT EXISTS (SELECT FROM inbox WHERE reason = 'against-schema')")
    await running.end()


@pytest.mark.parametrize("body", [b"\xff\x00 no JSON", b"{}", b""])
async def test_what_is_no_cloud_event_goes_to_the_dead_letters_and_its_neighbours_flow(
    bus: BusStand, body: bytes
) -> None:
    running = bus.consumer()
    for number in range(3):
        await bus.send(an_envelope(Happened(thing_id=uuid4(), number=number)))
        await bus.send(body)
    await bus.until(DONE, 3)
    found = await bus.messages("beta.dead", 3)
    assert [message.body for message in found] == [body] * 3
    assert found[0].headers["x-death"][0]["reason"] == "rejected"  # type: ignore[index,call-overload]
    await running.end()


async def test_only_the_named_senders_are_listened_to(bus: BusStand) -> None:
    running = bus.consumer(only_senders={f"{bus.vhost}-alpha"})
    body = an_envelope(Happened(thing_id=uuid4(), number=1))
    await bus.send(body, user="admin")
    await bus.send(body)
    await bus.until(DONE, 1)
    (stranger,) = await bus.messages("beta.dead", 1)
    assert stranger.user_id == f"{bus.vhost}-admin"
    await running.end()


@pytest.fixture
async def outage(bus: BusStand) -> AsyncIterator[Any]:
    """Switches the database of the stand off and on."""
    name = bus.database_url.rpartition("/")[2]
    admin = f"{bus.database_url.rpartition('/')[0]}/postgres"
    connection = await asyncpg.connect(admin)

    async def switch(*, on: bool) -> None:
        await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {on}")
        if not on:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
            )

    yield switch
    await switch(on=True)
    await connection.close()


async def test_nothing_is_dropped_or_dead_lettered_while_the_database_is_away(
    bus: BusStand, outage: Any
) -> None:
    running = [bus.relay(), bus.consumer(), bus.retries()]
    subject = uuid4()
    await bus.publish(Happened(thing_id=subject, number=0))
    await bus.until(DONE, 1)
    await outage(on=False)
    for number in range(1, 30):
        await bus.send(an_envelope(Happened(thing_id=subject, number=number)))
    await asyncio.sleep(3)
    await outage(on=True)
    await bus.until(DONE, 30, seconds=10)
    assert await bus.effects() == {str(subject): list(range(30))}
    assert await bus.value("SELECT count(*) FROM inbox WHERE attempts > 0") == 0
    for one in running:
        await one.end()


async def test_many_failures_in_a_row_slow_the_consumer_down_instead_of_emptying_the_queue(
    bus: BusStand,
) -> None:
    away = True

    async def call_somebody(session: AsyncSession, event: Happened, delivery: Delivery) -> None:
        if away:
            raise ConnectionRefusedError
        await note_happened(session, event, delivery)

    await bus.publish(*(Happened(thing_id=thing, number=1) for thing in things(400)))
    table: dict[type[Event], Any] = {Happened: call_somebody}

    async def refuse(session: AsyncSession, event: Happened, delivery: Delivery) -> None:
        raise LookupError

    running = [bus.relay(), bus.consumer({Happened: refuse})]
    await bus.until("SELECT count(*) >= 10 FROM inbox")
    await asyncio.sleep(3)
    assert await bus.value("SELECT count(*) FROM inbox") <= 14
    for one in running:
        await one.end()
    away = False
    running = [bus.relay(), bus.consumer(table), bus.retries(table)]
    await bus.until(DONE, 400)
    for one in running:
        await one.end()


async def test_a_handler_that_hangs_has_failed(
    bus: BusStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handling, "HANDLER_S", 0.3)
    stuck, fine = uuid4(), uuid4()

    async def hang(session: AsyncSession, event: Happened, delivery: Delivery) -> None:
        if event.thing_id == stuck:
            await session.execute(text("SELECT pg_sleep(60)"))
        await note_happened(session, event, delivery)

    running = [bus.relay(), bus.consumer({Happened: hang})]
    await bus.publish(Happened(thing_id=stuck, number=1), Happened(thing_id=fine, number=1))
    await bus.until(DONE, 1)
    assert await bus.value("SELECT reason FROM inbox WHERE state = 'waiting'") == "TimeoutError"
    assert await bus.effects() == {str(fine): [1]}
    for one in running:
        await one.end()


async def test_what_a_failing_handler_published_is_not_published(bus: BusStand) -> None:
    async def publish_and_fail(session: AsyncSession, event: Happened, delivery: Delivery) -> None:
        session.info["service"] = "alpha"
        outbox.publish(session, Happened(thing_id=event.thing_id, number=event.number + 100))
        if event.number == 2:
            raise RuntimeError

    running = bus.consumer({Happened: publish_and_fail})
    for number in range(4):
        await bus.send(an_envelope(Happened(thing_id=uuid4(), number=number)))
    await bus.until("SELECT count(*) = 4 FROM inbox")
    bodies = await bus.rows("SELECT body FROM outbox ORDER BY id")
    assert [json.loads(row["body"])["data"]["number"] for row in bodies] == [100, 101, 103]
    await running.end()


async def test_an_error_at_the_commit_is_brought_home_to_the_event_that_caused_it(
    bus: BusStand,
) -> None:
    await bus.rows(
        "ALTER TABLE effect ADD CONSTRAINT late UNIQUE (number) DEFERRABLE INITIALLY DEFERRED"
    )
    running = bus.consumer()
    for number in (1, 2, 2, 3):
        await bus.send(an_envelope(Happened(thing_id=uuid4(), number=number)))
    await bus.until("SELECT count(*) = 4 FROM inbox")
    states = await bus.rows('SELECT state FROM inbox ORDER BY "order"')
    assert [row["state"] for row in states] == ["done", "done", "waiting", "done"]
    await running.end()


async def test_two_consumers_of_one_queue_do_not_disturb_the_order(bus: BusStand) -> None:
    subjects_ = things(10)
    running = [bus.relay(), bus.consumer(), bus.consumer()]
    for number in range(10):
        await bus.publish(*(Happened(thing_id=thing, number=number) for thing in subjects_))
    await bus.until("SELECT count(*) >= 30 FROM inbox WHERE state = 'done'")
    await running[1].end()  # the one that was active first, most likely
    for number in range(10, 20):
        await bus.publish(*(Happened(thing_id=thing, number=number) for thing in subjects_))
    await bus.until(DONE, 200)
    assert await bus.effects() == {str(thing): list(range(20)) for thing in subjects_}
    for one in (running[0], running[2]):
        await one.end()


async def test_ids_are_forgotten_after_thirty_days_and_unfinished_events_are_not(
    bus: BusStand, shifted: None
) -> None:
    running = bus.consumer()
    await bus.send(an_envelope(Happened(thing_id=uuid4(), number=1)))
    await bus.send(an_envelope(Happened(thing_id=uuid4(), number=1, note="poison")))
    await bus.until("SELECT count(*) = 2 FROM inbox")
    await running.end()
    async with bus.beta.transaction() as session:
        assert await inbox.prune(session) == 0
    clock.shift(timedelta(days=31))
    async with bus.beta.transaction() as session:
        assert await inbox.prune(session) == 1
    assert await bus.value("SELECT state FROM inbox") == "waiting"
