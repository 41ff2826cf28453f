"""Processes that die: committed = delivered = effective, once and in order, wherever they die."""

import asyncio
import os
from uuid import UUID, uuid4

import pytest

from tests.bus import BusStand, Happened, an_envelope
from tests.faults.workers import died, done, terminate, worker

ALL = ("relay", "consumer", "retries")


async def publish(bus: BusStand, things: list[UUID], numbers: range, note: str = "") -> None:
    for number in numbers:
        await bus.publish(
            *(Happened(thing_id=thing, number=number, note=note or None) for thing in things)
        )


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("relay.before_publish", marks=pytest.mark.long),
        "relay.before_publish:250",  # with a window in flight
        "relay.after_ack_before_mark",
        pytest.param("relay.after_ack_before_mark:2", marks=pytest.mark.long),
        pytest.param("inbox.before_commit", marks=pytest.mark.long),
        "inbox.before_commit:3",
        pytest.param("inbox.after_commit_before_ack", marks=pytest.mark.long),
        "inbox.after_commit_before_ack:3",
    ],
)
async def test_a_worker_that_dies_anywhere_loses_nothing_and_repeats_nothing(
    bus: BusStand, point: str
) -> None:
    things = [uuid4() for _ in range(60)]
    await publish(bus, things, range(12))
    async with worker(bus, *ALL, crash_at=point) as first:
        await died(first)
    async with worker(bus, *ALL) as second:
        await done(bus, 720)
        assert await bus.effects() == {str(thing): list(range(12)) for thing in things}
        await terminate(second)
    assert await bus.value("SELECT count(*) FROM outbox") == 0
    assert await bus.waiting("beta.dead") == 0


async def test_a_writer_that_dies_before_its_commit_leaves_no_ghost(bus: BusStand) -> None:
    thing = uuid4()
    more = {"BUS_THING": str(thing)}
    async with worker(bus, "writer", crash_at="outbox.before_commit:6", more=more) as writer:
        await died(writer)
    assert await bus.value("SELECT count(*) FROM outbox") == 5
    async with worker(bus, *ALL) as second:
        await done(bus, 5)
        assert await bus.effects() == {str(thing): [0, 1, 2, 3, 4]}
        await terminate(second)


async def test_a_rolling_restart_under_load_loses_nothing(bus: BusStand) -> None:
    things = [uuid4() for _ in range(20)]

    async def load() -> None:
        for number in range(60):
            await publish(bus, things, range(number, number + 1), note="slow")
            await asyncio.sleep(0.05)

    loading = asyncio.create_task(load())
    async with worker(bus, *ALL) as older:
        await bus.until("SELECT count(*) > 50 FROM inbox")
        async with worker(bus, *ALL) as newer:
            await asyncio.sleep(2)
            await terminate(older)
            await loading
            await done(bus, 1200, seconds=90)
            assert await bus.effects() == {str(thing): list(range(60)) for thing in things}
            await terminate(newer)
    assert await bus.waiting("beta.dead") == 0


async def test_an_event_that_kills_the_process_becomes_a_dead_letter_alone(bus: BusStand) -> None:
    fine = [uuid4() for _ in range(40)]
    poison = Happened(thing_id=uuid4(), number=0, note="kill")
    await publish(bus, fine, range(2))
    await bus.publish(poison)
    await publish(bus, fine, range(2, 4))
    relay = bus.relay()
    await bus.drained()
    await relay.end()
    deaths = 0
    while not await bus.value("SELECT EXISTS (SELECT FROM inbox WHERE state = 'dead')"):
        await bus.rows("UPDATE inbox SET retry_at = now() WHERE attempts > 0 AND state = 'waiting'")
        async with worker(bus, "consumer", "retries") as one:
            while one.returncode is None and not await bus.value(
                "SELECT EXISTS (SELECT FROM inbox WHERE state = 'dead')"
            ):
                await asyncio.sleep(0.1)
            if one.returncode is None:
                await done(bus, 160)
                await terminate(one)
            else:
                deaths += 1
    assert deaths == 2 + 5  # twice as one of many, then five times as the only one
    rows = await bus.rows("SELECT aggregate, reason FROM inbox WHERE state <> 'done'")
    assert [tuple(row) for row in rows] == [(str(poison.thing_id), "died-with-its-process")]
    assert await bus.effects() == {str(thing): [0, 1, 2, 3] for thing in fine}
    assert await bus.waiting("beta.dead") == 0


async def test_a_waiting_event_that_kills_the_process_does_so_five_times_and_no_more(
    bus: BusStand,
) -> None:
    thing = uuid4()
    consumer = bus.consumer()
    await bus.send(an_envelope(Happened(thing_id=thing, number=1, note="poison")))
    await bus.until("SELECT count(*) = 1 FROM inbox")
    await bus.send(an_envelope(Happened(thing_id=thing, number=2, note="kill")))
    await bus.send(an_envelope(Happened(thing_id=thing, number=3)))
    await bus.until("SELECT count(*) = 3 FROM inbox WHERE state = 'waiting'")
    await consumer.end()
    await bus.rows("DELETE FROM inbox WHERE attempts = 1")  # the kill is the first now
    deaths = 0
    while await bus.value("SELECT count(*) FROM inbox WHERE state = 'waiting'"):
        await bus.rows("UPDATE inbox SET retry_at = now()")
        async with worker(bus, "retries") as one:
            while one.returncode is None and await bus.value(
                "SELECT EXISTS (SELECT FROM inbox WHERE state = 'waiting')"
            ):
                await asyncio.sleep(0.1)
            if one.returncode is None:
                await terminate(one)
            else:
                deaths += 1
        assert deaths <= 5
    states = await bus.rows('SELECT state, reason FROM inbox ORDER BY "order"')
    assert [tuple(row) for row in states] == [
        ("dead", "died-with-its-process"),
        ("done", None),
    ]
    assert deaths == 5
    assert await bus.effects() == {str(thing): [3]}


async def test_a_command_whose_worker_dies_before_the_acknowledgement_comes_again(
    bus: BusStand,
) -> None:
    from tests.chassis.test_commands import a_body, command

    await command(bus, a_body(uuid4()))
    async with worker(bus, "commands", crash_at="commands.before_ack") as first:
        await died(first)
    assert await bus.waiting("beta.erasure") == 1
    async with worker(bus, "commands") as second:
        assert second.stdout is not None
        assert await asyncio.wait_for(second.stdout.readline(), 30) == b"carried out\n"
        await terminate(second)
    assert await bus.waiting("beta.erasure") == 0


async def test_a_relay_that_dies_with_its_locks_does_not_hold_up_the_next(bus: BusStand) -> None:
    things = [uuid4() for _ in range(50)]
    await publish(bus, things, range(20))
    async with worker(bus, "relay", crash_at="relay.before_publish:400") as first:
        await died(first)
    survivor = bus.relay()
    await bus.drained(seconds=10)
    await survivor.end()
    consumer = bus.consumer()
    await done(bus, 1000)
    assert await bus.effects() == {str(thing): list(range(20)) for thing in things}
    await consumer.end()


def test_without_the_variable_no_point_does_anything() -> None:
    from chassis import crash

    assert "CCIB_CRASH_AT" not in os.environ
    crash.point("")
    crash.point("relay.before_publish")
