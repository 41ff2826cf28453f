"""The network between a service and its broker: slow, silent, cut."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.event import listen

from tests.bus import BusStand, Happened
from tests.faults.load import Run
from tests.proxy import Proxy, proxying


@asynccontextmanager
async def behind(bus: BusStand) -> AsyncIterator[Proxy]:
    """Everything that the services' loops say to the broker passes through a proxy."""
    async with proxying(bus.broker) as proxy:
        direct, bus.broker = bus.broker, f"127.0.0.1:{proxy.port}"
        running = [bus.relay(), bus.consumer(), bus.retries()]
        bus.broker = direct
        yield proxy
        proxy.mend()
        for one in running:
            await one.end()


async def test_connections_reset_in_the_middle_of_a_window_lose_and_repeat_nothing(
    bus: BusStand, run: Run
) -> None:
    async with behind(bus) as proxy:
        async with run.load(pause=0):
            for _ in range(6):
                await asyncio.sleep(0.5)
                with run.fault("reset"):
                    proxy.reset()
        await run.holds()


async def test_what_two_consumers_held_when_they_were_lost_is_taken_up_in_order(
    bus: BusStand, run: Run
) -> None:
    things = [uuid4() for _ in range(3)]
    for _ in range(30):
        await run.commit(*things)
    relay = bus.relay()
    await bus.drained()
    for _ in range(2):
        async with proxying(bus.broker) as proxy:
            direct, bus.broker = bus.broker, f"127.0.0.1:{proxy.port}"
            trying = asyncio.Event()

            async def never(*_: object, trying: asyncio.Event = trying) -> None:
                trying.set()
                await asyncio.sleep(3600)

            lost = bus.consumer({Happened: never})
            bus.broker = direct
            await asyncio.wait_for(trying.wait(), 10)
            # All at once: a part left behind would change places with what this one holds.
            assert await bus.waiting("beta.events") == 0
            with run.fault("reset", "a consumer that holds all"):
                lost.task.cancel()
                proxy.reset()
    counted: Counter[str] = Counter()

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        counted[statement.split(maxsplit=1)[0]] += 1

    listen(bus.beta.engine.sync_engine, "before_cursor_execute", note)
    running = [relay, bus.consumer(), bus.retries()]
    await run.holds()
    # Looked at one by one, a backlog that was lost twice would be slower than what comes behind it.
    assert counted.total() <= 90 + 60, counted
    for one in running:
        await one.end()


async def test_a_black_hole_is_noticed_by_its_missing_heartbeats(
    bus: BusStand, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.bus.HEARTBEAT_S", 1)
    async with behind(bus) as proxy:
        async with run.load():
            await bus.until("SELECT count(*) > 10 FROM inbox")
            with run.fault("freeze", "three heartbeats"):
                proxy.flowing.clear()
                await asyncio.sleep(3.5)
                proxy.flowing.set()
        await run.holds()


async def test_two_hundred_milliseconds_of_latency_are_only_slow(bus: BusStand, run: Run) -> None:
    async with behind(bus) as proxy:
        await run.commit(uuid4())
        await bus.until("SELECT count(*) = 1 FROM inbox")
        with run.fault("latency"):
            proxy.delay = 0.2
            async with run.load(pause=0.3):
                await asyncio.sleep(1.5)
                seen = await bus.value("SELECT count(*) FROM inbox")
                assert seen > 10
        proxy.mend()
        await run.holds()
