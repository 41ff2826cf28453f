"""What must not grow, whatever the machine: the statements of the bus and of requests."""

import asyncio
from collections import Counter
from types import SimpleNamespace
from uuid import uuid4

import pytest
from sqlalchemy import text

from bench import bus as figures
from bench.counting import counted_statements
from bench.references import publishing
from chassis import inbox
from chassis.db import Database
from tests.bus import PRODUCER, BusStand, Happened
from tests.directory.town import Person


async def test_a_full_batch_takes_the_inbox_four_statements_beside_its_handlers(
    bus: BusStand,
) -> None:
    async with bus.alpha.engine.connect():
        pass  # open before anything is counted, to watch by
    events = 10 * inbox.BATCH
    await publishing.publish(
        bus.amqp_url(PRODUCER),
        exchange="ccib.events",
        routing_key=Happened.routing_key(),
        user_id=f"{bus.vhost}-{PRODUCER}",
        bodies=figures.bodies(events, things=200),
    )
    with counted_statements(database=bus.vhost) as counted:
        await _connected(bus.beta, counted)
        running = bus.consumer()
        async with bus.alpha.engine.connect() as watching:
            while await watching.scalar(text("SELECT count(*) FROM inbox")) < events:
                await watching.rollback()  # with a snapshot of its own each time
                await asyncio.sleep(0.02)
        await running.end()
    batches = counted.pop("INSERT INTO inbox")
    assert counted.pop("INSERT INTO effect") == events
    del counted["SELECT count(*) FROM"]
    assert counted == {"BEGIN": batches, "SELECT id, NULL": batches, "COMMIT": batches}
    # The broker hands over what it has: batches are smaller at the beginning and the end only.
    assert batches <= 2 * events / inbox.BATCH


@pytest.mark.parametrize("events", [1, 500])
async def test_a_transaction_writes_its_events_with_two_statements(
    bus: BusStand, events: int
) -> None:
    with counted_statements(database=bus.vhost) as counted:
        await _connected(bus.alpha, counted)
        await bus.publish(*(Happened(thing_id=uuid4(), number=n) for n in range(events)))
    assert counted.total() == 4, counted  # with BEGIN and COMMIT


async def test_a_connection_that_was_just_used_is_not_asked_whether_it_lives(bus: BusStand) -> None:
    with counted_statements(database=bus.vhost) as counted:
        await _connected(bus.alpha, counted)
        for _ in range(3):
            async with bus.alpha.transaction() as session:
                await session.execute(text("SELECT 1"))
    assert counted == {"BEGIN": 3, "SELECT 1": 3, "COMMIT": 3}


async def test_a_connection_that_was_cut_while_idle_is_replaced_before_it_is_used(
    bus: BusStand,
) -> None:
    async with bus.alpha.transaction() as session:
        pid = await session.scalar(text("SELECT pg_backend_pid()"))
    await bus.rows("SELECT pg_terminate_backend($1, 5000)", pid)
    await asyncio.sleep(0.05)
    async with bus.alpha.transaction() as session:
        assert await session.scalar(text("SELECT pg_backend_pid()")) != pid


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/me/profile", 5),
        ("/me/companies", 4),
        ("/companies/{company}", 6),
        ("/companies", 8),
        ("/communities", 4),
    ],
)
async def test_a_read_takes_as_many_statements_whatever_there_is(
    counted_town: SimpleNamespace, path: str, most: int
) -> None:
    """Who asks, what they may see, what they asked for; with BEGIN and COMMIT."""
    town, counted = counted_town.town, counted_town.counted
    person = town.somebody()
    await person.put("/me/profile", {"last_name": "Lefèvre", "first_name": "Anaïs"})
    company = await town.a_company(person)
    few = await _statements(counted, person, path.format(company=company))
    for _ in range(3):
        await town.a_company(person)
        await town.a_colleague(person, company)
    many = await _statements(counted, person, path.format(company=company))
    assert few.total() == many.total() <= most, many


async def _connected(db: Database, counted: Counter[str]) -> None:
    """Open a connection whose statements are counted from now on."""
    await db.engine.dispose()
    async with db.transaction() as session:
        await session.execute(text("SELECT 1"))
    counted.clear()


async def _statements(counted: Counter[str], person: Person, path: str) -> Counter[str]:
    """The fewest of several tries: a loop of the service may have asked something meanwhile."""
    tries = []
    for _ in range(5):
        before = counted.copy()
        answer = await person.get(path)
        assert answer.status_code == 200, answer.text
        tries.append(counted - before)
    return min(tries, key=Counter.total)
