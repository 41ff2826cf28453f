"""A steady load of committed events, and the check of what became of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from tests.bus import BusStand, Happened
from tests.faults.workers import done


class Load:
    """Events of ten things, numbered without gaps, a transaction every few milliseconds."""

    def __init__(self, bus: BusStand) -> None:
        self._bus = bus
        self._things = [uuid4() for _ in range(10)]
        self._committed: dict[UUID, int] = dict.fromkeys(self._things, 0)

    async def run(self, pause: float, enough: asyncio.Event) -> None:
        while not enough.is_set():
            for thing, count in self._committed.items():
                await self._bus.publish(Happened(thing_id=thing, number=count))
                self._committed[thing] = count + 1
            await asyncio.sleep(pause)

    async def arrived(self, *, seconds: float = 10) -> None:
        """Everything committed has taken effect, once and in order, within so many seconds."""
        await done(self._bus, sum(self._committed.values()), seconds=seconds)
        assert await self._bus.effects() == {
            str(thing): list(range(count)) for thing, count in self._committed.items()
        }
        assert await self._bus.waiting("beta.dead") == 0
        assert await self._bus.value("SELECT max(attempts) FROM inbox") <= 1  # nothing failed


@asynccontextmanager
async def loaded(bus: BusStand, *, pause: float = 0.02) -> AsyncIterator[Load]:
    """Commit events during the block."""
    load, enough = Load(bus), asyncio.Event()
    task = asyncio.create_task(load.run(pause, enough))
    try:
        yield load
    finally:
        enough.set()
        await task
