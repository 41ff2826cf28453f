import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event as sqlalchemy_event

from chassis import outbox
from contracts.base import Envelope
from contracts.privacy import Kept
from tests.bus import BusStand, Happened


async def bodies(bus: BusStand) -> list[dict[str, Any]]:
    rows = await bus.rows("SELECT body FROM outbox ORDER BY id")
    return [json.loads(row["body"]) for row in rows]


async def test_an_event_becomes_a_row_only_if_its_transaction_commits(bus: BusStand) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        async with bus.alpha.transaction() as session:
            outbox.publish(session, Happened(thing_id=uuid4(), number=1))
            raise ZeroDivisionError
    assert not bus.alpha.bells[outbox.BELL].is_set()
    await bus.publish(Happened(thing_id=uuid4(), number=2))
    assert bus.alpha.bells[outbox.BELL].is_set()
    assert [body["data"]["number"] for body in await bodies(bus)] == [2]


async def test_a_row_holds_a_cloud_event_with_its_trace(bus: BusStand) -> None:
    thing = uuid4()
    async with bus.alpha.transaction() as session:
        session.info["traceparent"] = f"00-{'a' * 32}-{'b' * 16}-01"
        outbox.publish(session, Happened(thing_id=thing, number=1))
    (row,) = await bus.rows("SELECT * FROM outbox")
    envelope = Envelope.model_validate_json(row["body"])
    assert (envelope.id, envelope.subject) == (row["event_id"], str(thing))
    assert envelope.id.version == 7
    assert envelope.source == "/services/alpha"
    assert envelope.type == "fr.ccibusiness.alpha.happened.v1"
    assert envelope.traceparent == f"00-{'a' * 32}-{'b' * 16}-01"
    assert envelope.sequence == 1
    assert (row["exchange"], row["routing_key"]) == ("ccib.events", "alpha.happened.v1")
    # A null of the data is data: hashes and signatures are over it.
    assert json.loads(row["body"])["data"] == {"thing_id": str(thing), "number": 1, "note": None}
    assert Kept(rule="x", rows=1).model_dump(mode="json")["until"] is None


async def test_sequences_count_by_aggregate_across_transactions(bus: BusStand) -> None:
    a, b = uuid4(), uuid4()
    await bus.publish(Happened(thing_id=a, number=1), Happened(thing_id=b, number=1))
    await bus.publish(*(Happened(thing_id=a, number=n) for n in (2, 3)))
    seen = [(UUID(one["subject"]), one["sequence"]) for one in await bodies(bus)]
    assert seen == [(a, 1), (b, 1), (a, 2), (a, 3)]


async def test_writers_of_one_aggregate_wait_for_each_other_and_keep_the_order_of_commits(
    bus: BusStand,
) -> None:
    thing, others = uuid4(), [uuid4() for _ in range(5)]

    async def write(number: int) -> None:
        async with bus.alpha.transaction() as session:
            # In an order of its own: sorting is what keeps these from deadlocks.
            things = [thing, *others] if number % 2 else [*reversed(others), thing]
            outbox.publish(session, *(Happened(thing_id=one, number=number) for one in things))

    await asyncio.gather(*(write(number) for number in range(40)))
    sequences: dict[str, list[int]] = {}
    for body in await bodies(bus):
        sequences.setdefault(body["subject"], []).append(body["sequence"])
    assert all(found == list(range(1, 41)) for found in sequences.values())
    assert len(sequences) == 6


@pytest.mark.parametrize("count", [1, 700])
async def test_a_flush_takes_two_statements_however_many_events(bus: BusStand, count: int) -> None:
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        statements.append(statement)

    engine = bus.alpha.engine.sync_engine
    sqlalchemy_event.listen(engine, "before_cursor_execute", note)
    await bus.publish(*(Happened(thing_id=uuid4(), number=n) for n in range(count)))
    sqlalchemy_event.remove(engine, "before_cursor_execute", note)
    assert len(statements) == 2
    assert await bus.value("SELECT count(*) FROM outbox") == count


async def test_nobody_publishes_what_belongs_to_another_service(bus: BusStand) -> None:
    with pytest.raises(ValueError, match="beta may not publish"):
        async with bus.beta.transaction() as session:
            outbox.publish(session, Happened(thing_id=uuid4(), number=1))


async def test_a_savepoint_that_is_rolled_back_takes_its_events_with_it(bus: BusStand) -> None:
    thing = uuid4()
    async with bus.alpha.transaction() as session:
        outbox.publish(session, Happened(thing_id=thing, number=1))
        with pytest.raises(ZeroDivisionError):  # noqa: PT012
            async with outbox.savepoint(session):
                outbox.publish(session, Happened(thing_id=thing, number=2))
                raise ZeroDivisionError
        async with outbox.savepoint(session):
            outbox.publish(session, Happened(thing_id=thing, number=3))
    assert [one["data"]["number"] for one in await bodies(bus)] == [1, 3]


async def test_after_a_restore_every_sequence_is_above_those_given_before(bus: BusStand) -> None:
    old, new = uuid4(), uuid4()
    await bus.publish(*(Happened(thing_id=old, number=n) for n in range(3)))
    for _ in range(2):
        async with bus.alpha.transaction() as session:
            await outbox.raise_epoch(session)
    await bus.publish(*(Happened(thing_id=one, number=9) for one in (old, old, new)))
    found = [(one["subject"], one["sequence"] - 2**41) for one in (await bodies(bus))[3:]]
    assert found == [(str(old), 1), (str(old), 2), (str(new), 1)]
