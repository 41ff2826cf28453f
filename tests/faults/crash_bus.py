"""For each label of the relay, the inbox and the retries, how a process of the toy services comes there."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID, uuid4

from tests.bus import BusStand, Happened, Ordered
from tests.chassis.test_commands import a_body, command
from tests.faults.crash_stage import BOUND_S, REACHED_S, Unreached
from tests.faults.workers import died, terminate, worker

LOOPS = ("relay", "consumer", "retries", "commands")
UNSENT = "SELECT count(*) FROM outbox WHERE blocked_until IS DISTINCT FROM 'infinity'"
Before = Callable[["Traffic"], Awaitable[None]]


class Traffic:
    """What is published on the stand, and what must have become of it."""

    def __init__(self, bus: BusStand) -> None:
        self.bus = bus
        self.numbers: dict[UUID, int] = {uuid4(): 0 for _ in range(3)}
        self.dead: list[UUID] = []
        self.parked = 0

    async def facts(self) -> None:
        """Two more of each thing."""
        for _ in range(2):
            await self.bus.publish(
                *(Happened(thing_id=one, number=number) for one, number in self.numbers.items())
            )
            self.numbers = {one: number + 1 for one, number in self.numbers.items()}

    async def nobody_listens(self) -> None:
        await self.bus.publish(Ordered(thing_id=uuid4()))
        self.parked += 1

    async def suspicious(self) -> None:
        """Two processes have died over these messages, and over no others."""
        await self.live("relay", "consumer")
        await self.facts()
        await self.live("relay")
        await die(self.bus, "inbox.before_commit")
        await die(self.bus, "inbox.before_commit")

    async def live(self, *loops: str) -> None:
        """Processes with these loops, one after the other, until they have nothing left to do."""
        async with asyncio.timeout(BOUND_S):
            again = True
            while again:
                # What it holds, nobody counts; when it ends, it has done it or given it back.
                async with worker(self.bus, *loops) as process:
                    while await self._undone(loops):
                        await asyncio.sleep(0.05)
                    await terminate(process)
                again = await self._undone(loops)

    async def _undone(self, loops: Sequence[str]) -> bool:
        if await self.bus.value(UNSENT):
            return True
        return "consumer" in loops and bool(await self.bus.waiting("beta.events"))

    async def due(self) -> None:
        """Nobody waits for the lease of a process that died."""
        await self.bus.rows("UPDATE inbox SET retry_at = now() WHERE state = 'waiting'")

    async def poison(self) -> None:
        """An event that fails whatever is done."""
        self.dead.append(uuid4())
        await self.bus.publish(Happened(thing_id=self.dead[-1], number=0, note="poison"))

    async def command(self) -> None:
        await command(self.bus, a_body(uuid4()))

    async def nothing(self) -> None:
        """Every process passes it when it starts."""


STEPS: dict[str, Before] = {
    "retries.after_welcome": Traffic.nothing,
    "relay.before_publish": Traffic.facts,
    "relay.after_confirm": Traffic.facts,
    "relay.after_mark": Traffic.facts,
    "relay.after_block": Traffic.nobody_listens,
    "inbox.before_commit": Traffic.facts,
    "inbox.after_commit_before_ack": Traffic.facts,
    "inbox.after_write_down": Traffic.suspicious,
    "retries.after_claim": Traffic.due,
    "retries.after_commit": Traffic.due,
    "inbox.after_keep": Traffic.poison,
    "retries.after_failure": Traffic.due,
    "retries.after_batch": Traffic.suspicious,
}


async def die(bus: BusStand, label: str) -> None:
    """Start a process and let it die there; raises `Unreached`."""
    async with worker(bus, *LOOPS, crash_at=label) as process:
        try:
            await died(process, seconds=REACHED_S)
        except TimeoutError:
            raise Unreached(f"no scenario of the bus reaches {label}") from None


async def die_at_each(bus: BusStand) -> float:
    """Die at every label, then live; returns how many seconds it took then to end everything."""
    traffic = Traffic(bus)
    for label, before in STEPS.items():
        await before(traffic)
        await die(bus, label)
    begun = time.monotonic()
    async with worker(bus, *LOOPS) as process:
        while True:
            await traffic.due()
            left = await bus.value(
                f"SELECT ({UNSENT}) + (SELECT count(*) FROM inbox WHERE state = 'waiting')"
            ) + await bus.waiting("beta.events")
            if not left:
                break
            assert time.monotonic() - begun < BOUND_S, await bus.state()
            await asyncio.sleep(0.05)
        seconds = time.monotonic() - begun
        await terminate(process)
    assert await bus.effects() == {
        str(thing): list(range(count)) for thing, count in traffic.numbers.items()
    }
    found = await bus.rows("SELECT aggregate FROM inbox WHERE state = 'dead'")
    assert [row["aggregate"] for row in found] == [str(one) for one in traffic.dead]
    assert await bus.value("SELECT count(*) FROM outbox") == traffic.parked
    assert await bus.waiting("beta.dead") == 0
    return seconds
