import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from bench.counting import counted_statements
from chassis import outbox, relay
from tests.bus import BusStand, Happened, Ordered, Unheard

QUEUE = "beta.events"


def numbers_by_thing(bodies: Iterable[bytes]) -> dict[str, list[int]]:
    """First occurrences only: a relay may repeat, never reorder."""
    seen: dict[str, list[int]] = {}
    for body in bodies:
        event = json.loads(body)
        numbers = seen.setdefault(event["subject"], [])
        if event["data"]["number"] not in numbers:
            numbers.append(event["data"]["number"])
    return seen


async def test_every_committed_event_arrives_in_order_per_aggregate(bus: BusStand) -> None:
    things = [uuid4() for _ in range(40)]
    running = bus.relay()
    for number in range(25):
        await bus.publish(*(Happened(thing_id=thing, number=number) for thing in things))
    await bus.drained()
    await running.end()
    messages = await bus.messages(QUEUE, 1000)
    seen = numbers_by_thing(message.body for message in messages)
    assert seen == {str(thing): list(range(25)) for thing in things}
    assert {message.user_id for message in messages} == {f"{bus.vhost}-alpha"}
    assert {message.content_type for message in messages} == {"application/cloudevents+json"}
    assert all(m.message_id == json.loads(m.body)["id"] for m in messages)


@pytest.mark.parametrize("relays", [2, 4])
async def test_several_relays_share_the_work_and_keep_the_order(bus: BusStand, relays: int) -> None:
    things = [uuid4() for _ in range(30)]
    running = [bus.relay() for _ in range(relays)]
    for number in range(50):
        await bus.publish(*(Happened(thing_id=thing, number=number) for thing in things))
    await bus.drained()
    for one in running:
        await one.end()
    messages = await bus.messages(QUEUE, 1500)
    seen = numbers_by_thing(message.body for message in messages)
    assert seen == {str(thing): list(range(50)) for thing in things}


@pytest.fixture
def statements(bus: BusStand) -> Iterator[Counter[str]]:
    """Counts what relays send to the database, by its first words."""
    with counted_statements(database=bus.vhost) as counted:
        yield counted


async def test_a_saturated_relay_takes_at_most_one_statement_for_twenty_events(
    bus: BusStand, statements: Counter[str]
) -> None:
    things = [uuid4() for _ in range(200)]
    for number in range(15):
        await bus.publish(*(Happened(thing_id=thing, number=number) for thing in things))
    statements.clear()
    running = bus.relay()
    async with bus.alpha.engine.connect() as watching:
        while not await watching.scalar(text("SELECT NOT EXISTS (SELECT FROM outbox)")):
            await asyncio.sleep(0.05)
    await running.end()
    del statements["SELECT NOT EXISTS"]  # ours
    assert statements["DELETE FROM outbox"] >= 6
    assert statements.total() / 3000 <= 0.05, statements


async def test_an_idle_relay_asks_one_question_per_poll(
    bus: BusStand, statements: Counter[str]
) -> None:
    running = bus.relay()
    await asyncio.sleep(1)
    statements.clear()
    await asyncio.sleep(3)
    assert 5 <= statements.total() <= 14, statements
    await running.end()


async def test_a_commit_wakes_the_relay_of_its_process(bus: BusStand) -> None:
    running = bus.relay()
    await bus.publish(Happened(thing_id=uuid4(), number=0))
    await bus.drained()
    await asyncio.sleep(0.7)  # idle by now
    async with await bus.admin() as connection:
        channel = await connection.channel()
        arrived: asyncio.Queue[float] = asyncio.Queue()

        async def note(message: Any) -> None:
            await arrived.put(asyncio.get_running_loop().time())

        await (await channel.get_queue(QUEUE)).consume(note, no_ack=True)
        await arrived.get()
        delays = []
        for number in range(1, 8):
            before = asyncio.get_running_loop().time()
            await bus.publish(Happened(thing_id=uuid4(), number=number))
            delays.append(await arrived.get() - before)
    assert sorted(delays)[3] < relay.POLL_S / 4, delays
    await running.end()


async def test_a_transaction_that_commits_late_is_not_skipped(bus: BusStand) -> None:
    running = bus.relay()
    late, early = uuid4(), uuid4()
    async with bus.alpha.transaction() as session:
        outbox.publish(session, Happened(thing_id=late, number=1))
        await outbox.flush(session)  # its row has the lower id, and nobody can see it yet
        await bus.publish(Happened(thing_id=early, number=1))
        (first,) = await bus.messages(QUEUE, 1)
    (second,) = await bus.messages(QUEUE, 1)
    assert [json.loads(one.body)["subject"] for one in (first, second)] == [str(early), str(late)]
    await running.end()


async def test_an_unroutable_command_is_parked_with_its_aggregate_alone_and_can_be_released(
    bus: BusStand,
) -> None:
    stuck, free = uuid4(), uuid4()
    await bus.publish(
        Ordered(thing_id=stuck),
        Happened(thing_id=stuck, number=2),
        Happened(thing_id=free, number=1),
    )
    running = bus.relay()
    await bus.until("SELECT count(*) = 2 FROM outbox")
    parked = await bus.rows(
        "SELECT aggregate, blocked_until::text, last_error FROM outbox ORDER BY id"
    )
    assert tuple(parked[0]) == (str(stuck), "infinity", "returned")
    assert tuple(parked[1]) == (str(stuck), None, None)
    await asyncio.sleep(1)
    assert await bus.value("SELECT count(*) FROM outbox") == 2

    async with await bus.admin() as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("somebody", durable=True)
        await queue.bind("ccib.commands", Ordered.routing_key())
    async with bus.alpha.transaction() as session:
        assert await outbox.release(session) == 1
    await bus.drained()
    assert len(await bus.messages("somebody", 1)) == 1
    seen = numbers_by_thing(message.body for message in await bus.messages(QUEUE, 2))
    assert seen == {str(free): [1], str(stuck): [2]}
    await running.end()


async def test_a_fact_that_nobody_wants_is_kept_aside_and_does_not_stop_the_relay(
    bus: BusStand,
) -> None:
    await bus.publish(Unheard(thing_id=uuid4()))
    running = bus.relay()
    await bus.drained()
    assert len(await bus.messages("ccib.unrouted", 1)) == 1
    await running.end()


async def test_a_missing_exchange_quarantines_its_rows_and_not_their_neighbours(
    bus: BusStand,
) -> None:
    bad = [uuid4() for _ in range(3)]
    things = [*bad, *(uuid4() for _ in range(60))]
    for number in range(2):
        await bus.publish(*(Happened(thing_id=thing, number=number) for thing in things))
    await bus.rows(
        "UPDATE outbox SET exchange = 'missing' WHERE id IN"
        " (SELECT min(id) FROM outbox WHERE aggregate = ANY($1) GROUP BY aggregate)",
        [str(thing) for thing in bad],
    )
    running = bus.relay()
    await bus.until("SELECT count(*) = 6 FROM outbox")
    states = await bus.rows(
        "SELECT blocked_until::text, last_error, count(*) FROM outbox GROUP BY 1, 2 ORDER BY 1"
    )
    assert [tuple(row) for row in states] == [("infinity", "impossible", 3), (None, None, 3)]
    await running.end()


async def test_a_full_queue_makes_the_relay_come_again_later(bus: BusStand) -> None:
    async with bus.management() as client:
        policy = {"pattern": "^beta.events$", "definition": {"max-length": 5}, "apply-to": "queues"}
        (await client.put(f"/api/policies/{bus.vhost}/full", json=policy)).raise_for_status()
    running = bus.relay()
    things: set[UUID] = set()
    # A policy takes its time to reach a queue, whose limit is a soft one: go on until it says no.
    while not await bus.value("SELECT EXISTS (SELECT FROM outbox WHERE last_error = 'refused')"):
        more = {uuid4() for _ in range(40)}
        await bus.publish(*(Happened(thing_id=thing, number=1) for thing in more))
        things |= more
        await asyncio.sleep(0.3)
    seen: set[UUID] = set()
    async with await bus.admin() as connection:

        async def note(message: Any) -> None:
            seen.add(UUID(json.loads(message.body)["subject"]))

        channel = await connection.channel()
        await (await channel.get_queue(QUEUE)).consume(note, no_ack=True)
        await bus.drained(seconds=60)
        await asyncio.sleep(0.5)
    assert seen == things
    await running.end()


async def test_a_relay_whose_database_connection_is_cut_starts_over(bus: BusStand) -> None:
    running = bus.relay()
    await bus.publish(Happened(thing_id=uuid4(), number=1))
    await bus.drained()
    await bus.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'ccib-alpha-relay' AND datname = current_database()"
    )
    await bus.publish(Happened(thing_id=uuid4(), number=2))
    await bus.drained(seconds=10)
    await running.end()
