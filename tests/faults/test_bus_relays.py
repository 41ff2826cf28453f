"""Several relays on one outbox while some of them die: nothing lost, order kept."""

from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from tests.bus import BusStand
from tests.faults.load import Run
from tests.faults.workers import died, terminate, worker


@pytest.mark.parametrize("relays", [pytest.param(2, marks=pytest.mark.long), 4])
async def test_relays_that_die_in_the_middle_leave_their_work_to_the_others(
    bus: BusStand, run: Run, relays: int
) -> None:
    things = [uuid4() for _ in range(60)]
    async with AsyncExitStack() as stack:
        dying = [
            await stack.enter_async_context(worker(bus, "relay", crash_at=point))
            for point in ("relay.before_publish:90", "relay.after_ack_before_mark:2")[: relays // 2]
        ]
        others = [
            await stack.enter_async_context(worker(bus, "relay"))
            for _ in range(relays - len(dying))
        ]
        consumer = bus.consumer()
        for _ in range(20):
            await run.commit(*things)
        await bus.drained()
        for one in others:
            await terminate(one)
        # Whoever came too late to find work has nothing to die of.
        for one in dying:
            if one.returncode is None:
                await terminate(one)
            else:
                with run.fault("kill", "relay"):
                    await died(one)
        await run.holds()
    await consumer.end()
