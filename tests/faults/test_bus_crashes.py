"""Processes that die: committed = delivered = effective, once and in order, wherever they die."""

import asyncio
import os
from uuid import UUID, uuid4

import pytest

from tests.bus import BusStand, Happened, an_envelope
from tests.faults.load import Run
from tests.faults.workers import died, terminate, worker

ALL = ("relay", "consumer", "retries")


async def publish(run: Run, things: list[UUID], times: int, note: str | None = None) -> None:
    for _ in range(times):
        await run.commit(*things, note=note)


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("relay.before_publish", marks=pytest.mark.long),
        "relay.before_publish:250",  # with a window in flight
        pytest.param("relay.after_ack_before_mark", marks=pytest.mark.long),
        pytest.param("relay.after_ack_before_mark:2", marks=pytest.mark.long),
        pytest.param("inbox.before_commit", marks=pytest.mark.long),
        pytest.param("inbox.before_commit:3", marks=pytest.mark.long),
        pytest.param("inbox.after_commit_before_ack", marks=pytest.mark.long),
        "inbox.after_commit_before_ack:3",
    ],
)
async def test_a_worker_that_dies_anywhere_loses_nothing_and_repeats_nothing(
    bus: BusStand, run: Run, point: str
) -> None:
    await publish(run, [uuid4() for _ in range(60)], 12)
    with run.fault("kill", point):
        async with worker(bus, *ALL, crash_at=point) as first:
            await died(first)
    async with worker(bus, *ALL) as second:
        await run.holds()
        await terminate(second)
    assert await bus.value("SELECT count(*) FROM effect") == 720


async def test_a_writer_that_dies_before_its_commit_leaves_no_ghost(
    bus: BusStand, run: Run
) -> None:
    things = ",".join(str(uuid4()) for _ in range(3))
    more = {
        "BUS_THINGS": things,
        "BUS_FIRST": "0",
        "BUS_HISTORY": str(run.history.path),
    }
    with run.fault("kill", "writer"):
        async with worker(bus, "writer", crash_at="outbox.before_commit:6", more=more) as writer:
            await died(writer)
    assert await bus.value("SELECT count(*) FROM outbox") == 15
    async with worker(bus, *ALL) as second:
        await run.holds()
        await terminate(second)


async def test_a_rolling_restart_under_load_loses_nothing(bus: BusStand, run: Run) -> None:
    async with worker(bus, *ALL) as older, run.load(things=20):
        await bus.until("SELECT count(*) > 50 FROM inbox")
        async with worker(bus, *ALL) as newer:
            with run.fault("terminate", "both loops, beside a newer process"):
                await terminate(older)
            seen = await bus.value("SELECT count(*) FROM inbox")
            await bus.until("SELECT count(*) > $1 FROM inbox", seen + 100)
            with run.fault("terminate", "the only process"):
                await terminate(newer)
    async with worker(bus, *ALL) as newest:
        await run.holds()
        await terminate(newest)
    assert await bus.value("SELECT max(attempts) FROM inbox") == 0  # nothing was taken for failed


async def test_a_handler_that_hangs_past_the_shutdown_is_cut_and_done_again(
    bus: BusStand, run: Run
) -> None:
    fine, stuck = [uuid4() for _ in range(5)], uuid4()
    await publish(run, fine, 3)
    async with worker(bus, *ALL, more={"BUS_PATIENCE": "1"}) as older:
        await run.commit(stuck, note="hang-first")
        assert older.stdout is not None
        assert await asyncio.wait_for(older.stdout.readline(), 20) == b"hanging\n"
        await run.commit(stuck, *fine)
        with run.fault("terminate", "while a handler hangs"):
            await terminate(older, seconds=5)
    async with worker(bus, *ALL, more={"BUS_SECOND": "1"}) as newer:
        await run.holds()
        await terminate(newer)


async def test_an_event_that_kills_the_process_becomes_a_dead_letter_alone(
    bus: BusStand, run: Run
) -> None:
    fine = [uuid4() for _ in range(40)]
    await publish(run, fine, 2)
    for op in await run.commit(uuid4(), note="kill"):
        run.history.note("poison", op=op)
    await publish(run, fine, 2)
    relay = bus.relay()
    await bus.drained()
    await relay.end()
    dead = "SELECT EXISTS (SELECT FROM inbox WHERE state = 'dead')"
    deaths = 0
    while not await bus.value(dead):
        await bus.rows("UPDATE inbox SET retry_at = now() WHERE attempts > 0 AND state = 'waiting'")
        async with worker(bus, "consumer", "retries") as one:
            while one.returncode is None and not await bus.value(dead):
                await asyncio.sleep(0.05)
            if one.returncode is None:
                await run.holds()
                await terminate(one)
            else:
                with run.fault("kill", "by the event itself"):
                    deaths += 1
    assert deaths == 2 + 5  # twice as one of many, then five times as the only one
    reasons = await bus.rows("SELECT reason FROM inbox WHERE state <> 'done'")
    assert [row["reason"] for row in reasons] == ["died-with-its-process"]


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
                await asyncio.sleep(0.05)
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


async def test_a_relay_that_dies_with_its_locks_does_not_hold_up_the_next(
    bus: BusStand, run: Run
) -> None:
    await publish(run, [uuid4() for _ in range(50)], 20)
    with run.fault("kill", "relay.before_publish:400"):
        async with worker(bus, "relay", crash_at="relay.before_publish:400") as first:
            await died(first)
    survivor = bus.relay()
    await bus.drained(seconds=10)
    await survivor.end()
    consumer = bus.consumer()
    await run.holds()
    await consumer.end()


def test_without_the_variable_no_point_does_anything() -> None:
    from chassis import crash

    assert "CCIB_CRASH_AT" not in os.environ
    crash.point("")
    crash.point("relay.before_publish")
