"""The database between the two ends: it ends connections, has none to give, is kept from forgetting."""

import asyncio
from contextlib import AsyncExitStack
from uuid import uuid4

import asyncpg
import pytest

from chassis import outbox
from tests.bus import BusStand, Happened
from tests.faults.load import Run
from tests.faults.workers import cut


async def test_connections_that_the_database_ends_lose_and_repeat_nothing(
    bus: BusStand, run: Run
) -> None:
    running = [bus.relay(), bus.consumer(), bus.retries()]
    async with run.load():
        for _ in range(4):
            seen = await bus.value("SELECT count(*) FROM inbox")
            await bus.until("SELECT count(*) > $1 FROM inbox", seen + 20)
            with run.fault("cut", "every connection but the writer's"):
                await cut(bus, "ccib-%")
    await run.holds()
    for one in running:
        await one.end()


async def test_a_pool_without_a_connection_to_give_delays_and_fails_nothing(
    bus: BusStand, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus.beta.engine.pool, "_timeout", 0.3)
    running = [bus.relay(), bus.consumer(), bus.retries()]
    async with run.load():
        await bus.until("SELECT count(*) > 10 FROM inbox")
        async with AsyncExitStack() as held:
            for _ in range(5):
                taken = bus.beta.engine.connect()
                while True:  # its loops use them too
                    try:
                        await held.enter_async_context(taken)
                        break
                    except TimeoutError:
                        taken = bus.beta.engine.connect()
            with run.fault("pool exhausted"):
                seen = await bus.value("SELECT count(*) FROM inbox")
                await asyncio.sleep(1.5)
                assert await bus.value("SELECT count(*) FROM inbox") == seen
    await run.holds()
    assert await bus.value("SELECT max(attempts) FROM inbox") == 0
    for one in running:
        await one.end()


async def test_a_transaction_that_stays_open_holds_up_its_own_aggregate_only(
    bus: BusStand, run: Run
) -> None:
    late = uuid4()
    running = [bus.relay(), bus.consumer(), bus.retries()]
    # And a reader from long ago, for whom the database keeps every row that has been deleted since.
    reader = await asyncpg.connect(bus.database_url)
    await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM outbox")
    async with run.load():
        number = run.number(late)
        with run.fault("open transaction"), run.history.commit(f"{late}/{number}"):
            async with bus.alpha.transaction() as session:
                outbox.publish(session, Happened(thing_id=late, number=number))
                await outbox.flush(session)  # its rows have lower ids than all that overtakes it
                behind = asyncio.create_task(run.commit(late))
                seen = await bus.value("SELECT count(*) FROM inbox")
                await bus.until("SELECT count(*) > $1 FROM inbox", seen + 300)
                assert not behind.done()
        await behind
    await run.holds()
    await reader.close()
    for one in running:
        await one.end()
