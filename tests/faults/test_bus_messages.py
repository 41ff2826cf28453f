"""Messages that come twice, late, in another order, or that nobody can do anything with."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from chassis import clock, dead_letters, inbox, retries
from tests.bus import BusStand, Happened, an_envelope
from tests.faults.history import token
from tests.faults.load import Run
from tests.faults.system import ToyConsuming
from tests.faults.workers import terminate, worker


@pytest.fixture
def shifted() -> Iterator[None]:
    """Puts this process's clock back at the end."""
    yield
    clock.shift(timedelta(0))


async def test_what_is_said_again_after_a_day_and_after_a_replay_has_no_second_effect(
    bus: BusStand, run: Run, shifted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "RETRIES_S", ())
    fine, dropped = [uuid4() for _ in range(10)], uuid4()
    poison = await run.commit(dropped, note="poison")
    for _ in range(3):
        await run.commit(*fine)
    for op in poison:
        run.history.note("poison", op=op)
    running = [bus.relay(), bus.consumer(), bus.retries()]
    await bus.until("SELECT count(*) = 31 FROM inbox WHERE state IN ('done', 'dead')")
    consuming = run.consuming
    assert isinstance(consuming, ToyConsuming)
    await bus.until("SELECT count(*) = 31 FROM told_published")
    for days in (0, 1, 29):
        clock.shift(timedelta(days=days))
        async with bus.beta.transaction() as session:
            await inbox.prune(session)
            found = await dead_letters.letters(session)
            assert await dead_letters.replay(session, [one.event_id for one in found]) == 1
        with run.fault("duplicates", f"after {days} days"):
            for body in consuming.bodies:
                await bus.send(body)
            last = uuid4()
            await run.commit(last)  # it comes behind them
            await bus.until("SELECT EXISTS (SELECT FROM inbox WHERE aggregate = $1)", str(last))
            await bus.until("SELECT count(*) = 1 FROM inbox WHERE state = 'dead'")
    await run.holds()
    for one in running:
        await one.end()


async def test_what_comes_in_another_order_all_takes_effect(bus: BusStand, run: Run) -> None:
    things = [uuid4() for _ in range(10)]
    for _ in range(6):
        await run.commit(*things)
    consumer = bus.consumer()
    bodies = [row["body"] for row in await bus.rows("SELECT body FROM outbox ORDER BY id DESC")]
    with run.fault("reordering"):
        for body in bodies:
            await bus.send(body)
        await bus.until("SELECT count(*) = 60 FROM inbox WHERE state = 'done'")
    assert {tuple(numbers) for numbers in (await bus.effects()).values()} == {(5, 4, 3, 2, 1, 0)}
    relay = bus.relay()  # says everything once more, in order
    await bus.until("SELECT count(*) = 60 FROM told_published")
    assert await bus.value("SELECT count(*) FROM effect") == 60
    for one in (relay, consumer):
        await one.end()


async def test_poison_becomes_dead_letters_and_its_neighbours_flow(
    bus: BusStand, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "RETRIES_S", (0, 0.2, 0.2))
    running = [bus.relay(), bus.consumer(), bus.retries()]
    async with await bus.admin() as connection:
        channel = await connection.channel()
        queue = await channel.get_queue("beta.events", ensure=False)
        await queue.bind("ccib.events", "alpha.happened.v2")
    async with run.load() as things:
        for number in range(3):
            with run.fault("poison", "raises"):
                # Later ones of its thing wait for it, and then flow.
                for op in await run.commit(things[number], note="poison"):
                    run.history.note("poison", op=op)
            with run.fault("poison", "undecodable"):
                body = b"\xff no event %d" % number
                run.history.note("garbage", token=token(body))
                await bus.send(body)
            with run.fault("poison", "unknown version"):
                envelope = json.loads(an_envelope(Happened(thing_id=uuid4(), number=number)))
                body = json.dumps({**envelope, "type": "fr.ccibusiness.alpha.happened.v2"}).encode()
                run.history.note("garbage", token=token(body))
                await bus.send(body, key="alpha.happened.v2")
            await asyncio.sleep(0.3)
    await run.holds()
    reasons = await bus.rows(
        "SELECT state, reason, count(*) FROM inbox WHERE state <> 'done' GROUP BY 1, 2 ORDER BY 1"
    )
    assert [tuple(row) for row in reasons] == [
        ("dead", "RuntimeError", 3),
        ("parked", "unknown-type", 3),
    ]
    for one in running:
        await one.end()


async def test_clocks_that_are_ten_minutes_off_delay_no_retry_and_use_none_up(
    bus: BusStand, run: Run, tmp_path: Path
) -> None:
    """Events that fail, first tried by processes whose clocks are wrong both ways."""
    repaired = tmp_path / "repaired"
    more = {"BUS_REPAIRED": str(repaired), "BUS_RETRIES": "0,3,3,3,3,3,3,3,3"}
    relay = bus.relay()
    for wrong in (600, -600):
        with run.fault("clock", f"{wrong} s"):
            alone = {**more, "BUS_CLOCK": str(wrong)}
            async with worker(bus, "consumer", "retries", more=alone) as one:
                await run.commit(*(uuid4() for _ in range(3)), note="fail-until-repaired")
                await bus.until(
                    "SELECT count(*) = 3 FROM inbox WHERE attempts > 1"
                    " AND abs(extract(epoch FROM received_at - now()) - $1) < 60"
                    " AND abs(extract(epoch FROM retry_at - now())) < 60",
                    wrong,
                )
                await terminate(one)
    repaired.touch()
    async with worker(bus, "consumer", "retries", more=more) as one:
        await run.holds()
        await terminate(one)
    await relay.end()
