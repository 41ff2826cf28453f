"""The network between a service and its broker: slow, silent, cut."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.bus import BusStand
from tests.faults.load import loaded
from tests.faults.proxy import Proxy, proxying


@pytest.fixture
async def proxy(bus: BusStand) -> AsyncIterator[Proxy]:
    """Everything that the stand's services say to the broker passes through it."""
    async with proxying(bus.broker) as found:
        direct, bus.broker = bus.broker, f"127.0.0.1:{found.port}"
        relay, consumer = bus.relay(), bus.consumer()
        bus.broker = direct
        yield found
        found.flowing.set()
        for one in (relay, consumer):
            await one.end()


async def test_connections_reset_in_the_middle_of_a_window_lose_and_repeat_nothing(
    bus: BusStand, proxy: Proxy
) -> None:
    async with loaded(bus, pause=0) as load:
        for _ in range(6):
            await asyncio.sleep(0.7)
            proxy.reset()
    await load.arrived()


async def test_a_black_hole_is_noticed_by_its_missing_heartbeats(
    bus: BusStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.bus.HEARTBEAT_S", 2)
    async with proxying(bus.broker) as proxy:
        direct, bus.broker = bus.broker, f"127.0.0.1:{proxy.port}"
        running = [bus.relay(), bus.consumer()]
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
