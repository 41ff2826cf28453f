"""The network between a service and its broker: slow, silent, cut."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from tests.bus import BusStand, Happened
from tests.faults.load import loaded
from tests.proxy import Proxy, proxying
from tests.faults.workers import done


@pytest.fixture
async def proxy(bus: BusStand) -> AsyncIterator[Proxy]:
    """Everything that the stand's services say to the broker passes through it."""
    async with proxying(bus.broker) as found:
        direct, bus.broker = bus.broker, f"127.0.0.1:{found.port}"
        running = [bus.relay(), bus.consumer(), bus.retries()]
        bus.broker = direct
        yield found
        found.flowing.set()
        for one in running:
            await one.end()


async def test_connections_reset_in_the_middle_of_a_window_lose_and_repeat_nothing(
    bus: BusStand, proxy: Proxy
) -> None:
    async with loaded(bus, pause=0) as load:
        for _ in range(6):
            await asyncio.sleep(0.7)
            proxy.reset()
    await load.arrived()


async def test_what_two_consumers_held_when_they_were_lost_is_taken_up_in_order(
    bus: BusStand,
) -> None:
    things = [uuid4() for _ in range(3)]
    for number in range(30):
        await bus.publish(*(Happened(thing_id=thing, number=number) for thing in things))
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
            lost.task.cancel()
            proxy.reset()
    running = [relay, bus.consumer(), bus.retries()]
    await done(bus, 90)
    assert await bus.effects() == {str(thing): list(range(30)) for thing in things}
    for one in running:
        await one.end()


async def test_a_black_hole_is_noticed_by_its_missing_heartbeats(
    bus: BusStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.bus.HEARTBEAT_S", 2)
    async with proxying(bus.broker) as proxy:
        direct, bus.broker = bus.broker, f"127.0.0.1:{proxy.port}"
        running = [bus.relay(), bus.consumer(), bus.retries()]
        bus.broker = direct
        async with loaded(bus) as load:
            await asyncio.sleep(1)
            proxy.flowing.clear()
            await asyncio.sleep(7)
            proxy.flowing.set()
            await asyncio.sleep(1)
        await load.arrived(seconds=15)
        for one in running:
            await one.end()


async def test_two_hundred_milliseconds_of_latency_are_only_slow(
    bus: BusStand, proxy: Proxy
) -> None:
    proxy.delay = 0.2
    async with loaded(bus, pause=0.5) as load:
        await asyncio.sleep(4)
    await load.arrived(seconds=30)
