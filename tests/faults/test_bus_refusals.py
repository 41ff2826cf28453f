"""A broker that is there and says no."""

import asyncio
from uuid import uuid4

import httpx2

from tests.bus import BusStand
from tests.faults.load import Run


async def limit(bus: BusStand, length: int | None) -> None:
    """Let the consumer's queue hold so many messages; None: as many as come."""
    async with bus.management() as client:
        path = f"/api/policies/{bus.vhost}/full"
        policy = {
            "pattern": "^beta.events$",
            "definition": {"max-length": length},
            "apply-to": "queues",
        }
        answer: httpx2.Response = await (
            client.put(path, json=policy) if length else client.delete(path)
        )
        answer.raise_for_status()


async def test_a_queue_that_is_full_delays_and_loses_nothing(bus: BusStand, run: Run) -> None:
    """Until the limit is lifted, which the channels that were refused are not told."""
    running = [bus.relay()]
    async with run.load():
        with run.fault("full queue"):
            await limit(bus, 20)
            await bus.until("SELECT EXISTS (SELECT FROM outbox WHERE last_error = 'refused')")
        await limit(bus, None)
        running += [bus.consumer(), bus.retries()]
    await run.holds()
    for one in running:
        await one.end()


async def test_rows_that_the_broker_cannot_take_wait_for_an_operator_alone(
    bus: BusStand, run: Run
) -> None:
    """A missing exchange closes the channel under everything in flight; a missing queue does not."""
    lost, unheard, fine = uuid4(), uuid4(), [uuid4() for _ in range(40)]
    for _ in range(3):
        await run.commit(lost, unheard, *fine)
    for thing, exchange in ((lost, "missing"), (unheard, "ccib.commands")):
        await bus.rows(
            "UPDATE outbox SET exchange = $2 WHERE id = (SELECT min(id) FROM outbox WHERE aggregate = $1)",
            str(thing),
            exchange,
        )
    running = [bus.relay(), bus.consumer(), bus.retries()]
    with run.fault("missing exchange"), run.fault("unroutable key"):
        await bus.until("SELECT count(*) = 120 FROM inbox")
        await bus.until("SELECT count(*) = 2 FROM outbox WHERE blocked_until = 'infinity'")
        left = await bus.rows("SELECT last_error, count(*) FROM outbox GROUP BY 1 ORDER BY 1")
        assert [tuple(row) for row in left] == [("impossible", 1), ("returned", 1), (None, 4)]
        await asyncio.sleep(1)
        assert await bus.value("SELECT count(*) FROM outbox") == 6  # they do not try by themselves
    await bus.rows(
        "UPDATE outbox SET exchange = 'ccib.events', blocked_until = NULL, last_error = NULL"
    )
    await run.holds()
    for one in running:
        await one.end()
