import asyncio
import json
from uuid import uuid4

import pytest
from aio_pika.abc import AbstractIncomingMessage
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import dead_letters, subjects
from chassis.inbox import Delivery
from tests.bus import HANDLERS, BusStand, Happened, Joined, an_envelope, note_happened

DEAD = "beta.dead"


async def dies(bus: BusStand, *events: Happened | Joined) -> None:
    """These were tried as often as it goes, with an error that is repaired by now."""
    running = [bus.relay(), bus.consumer({Unknown: note_happened})]
    await bus.publish(*events)
    await bus.until("SELECT count(*) = $1 FROM inbox WHERE state = 'parked'", len(events))
    await bus.rows("UPDATE inbox SET state = 'dead', reason = 'RuntimeError', attempts = 5")
    for one in running:
        await one.end()


class Unknown(Happened, owner="alpha", fact="unknown", subject="thing_id"):
    pass


async def test_dead_letters_are_listed_by_cause_and_can_be_looked_at(bus: BusStand) -> None:
    things = [uuid4() for _ in range(3)]
    await dies(bus, *(Happened(thing_id=thing, number=1) for thing in things))
    await bus.rows("UPDATE inbox SET reason = 'LookupError' WHERE aggregate = $1", str(things[0]))
    async with bus.beta.transaction() as session:
        causes = await dead_letters.causes(session)
        assert [(one.state, one.reason, one.count) for one in causes] == [
            ("dead", "RuntimeError", 2),
            ("dead", "LookupError", 1),
        ]
        (letter,) = await dead_letters.letters(session, reason="LookupError")
        assert letter.aggregate == str(things[0])
        assert json.loads(letter.body)["data"]["number"] == 1
        assert len(await dead_letters.letters(session, type=Happened.event_type())) == 3


async def test_a_replayed_dead_letter_takes_effect_once(bus: BusStand) -> None:
    thing = uuid4()
    await dies(bus, Happened(thing_id=thing, number=1))
    retries = bus.retries()
    async with bus.beta.transaction() as session:
        (letter,) = await dead_letters.letters(session)
        assert await dead_letters.replay(session, [letter.event_id]) == 1
    await bus.until("SELECT state = 'done' FROM inbox")
    async with bus.beta.transaction() as session:
        assert await dead_letters.replay(session, [letter.event_id]) == 0
    assert await bus.effects() == {str(thing): [1]}
    await retries.end()


async def test_a_replayed_dead_letter_passes_the_fence(bus: BusStand) -> None:
    person = uuid4()
    await dies(bus, Joined(thing_id=uuid4(), person_id=person))
    async with bus.beta.transaction() as session:
        await subjects.ensure(session, person)
        await session.execute(text("UPDATE data_subject SET erased_at = now()"))
    retries = bus.retries()
    async with bus.beta.transaction() as session:
        (letter,) = await dead_letters.letters(session)
        await dead_letters.replay(session, [letter.event_id])
    await bus.until("SELECT state = 'fenced' FROM inbox")
    assert await bus.value("SELECT count(*) FROM member") == 0
    await retries.end()


async def test_a_dropped_dead_letter_is_gone_and_its_id_remembered(bus: BusStand) -> None:
    event_id, thing = uuid4(), uuid4()
    consumer = bus.consumer({Unknown: note_happened})
    await bus.send(an_envelope(Happened(thing_id=thing, number=1), event_id=event_id))
    await bus.until("SELECT state = 'parked' FROM inbox")
    await consumer.end()
    async with bus.beta.transaction() as session:
        assert await dead_letters.drop(session, [event_id]) == 1
        assert await dead_letters.causes(session) == []
    consumer = bus.consumer()
    await bus.send(an_envelope(Happened(thing_id=thing, number=1), event_id=event_id))
    await bus.send(an_envelope(Happened(thing_id=thing, number=2)))
    await bus.until("SELECT count(*) = 2 FROM inbox")
    assert await bus.effects() == {str(thing): [2]}
    await consumer.end()


@pytest.fixture
def poison() -> tuple[Happened, bytes]:
    event = Happened(thing_id=uuid4(), number=1)
    return event, an_envelope(event)


async def put_back(message: AbstractIncomingMessage) -> None:
    await message.reject(requeue=True)


async def give_up(bus: BusStand) -> None:
    """Deliver what is in the queue until the broker gives up on it."""
    async with bus.management() as client:
        policy = {"pattern": "^beta.events$", "definition": {"delivery-limit": 2}}
        (await client.put(f"/api/policies/{bus.vhost}/limit", json=policy)).raise_for_status()
    for _ in range(40):
        if await bus.waiting(DEAD):
            return
        async with await bus.admin() as connection:
            queue = await (await connection.channel()).get_queue("beta.events")
            await queue.consume(put_back)
            await asyncio.sleep(0.3)
    raise AssertionError("the broker did not give up")


async def test_what_the_broker_gave_up_on_joins_the_list_and_can_be_replayed(
    bus: BusStand, poison: tuple[Happened, bytes]
) -> None:
    event, body = poison
    await bus.send(body)
    await give_up(bus)
    collected = await dead_letters.collect(bus.beta, amqp_url=bus.amqp_url("beta"), queue=DEAD)
    assert collected == (1, 0)
    assert await bus.waiting(DEAD) == 0
    retries = bus.retries()
    async with bus.beta.transaction() as session:
        (letter,) = await dead_letters.letters(session)
        assert (letter.reason, letter.type) == ("delivery-limit", Happened.event_type())
        assert await dead_letters.replay(session, [letter.event_id]) == 1
    await bus.until("SELECT state = 'done' FROM inbox")
    assert await bus.effects() == {str(event.thing_id): [1]}
    await retries.end()


@pytest.mark.parametrize("body", ["unreadable", "forged"])
async def test_what_was_refused_can_be_looked_at_and_never_replayed(
    bus: BusStand, body: str
) -> None:
    consumer = bus.consumer()
    genuine = Joined(thing_id=uuid4(), person_id=uuid4())
    sent = b"unreadable" if body == "unreadable" else an_envelope(genuine)
    await bus.send(sent)  # with the routing key of another event
    while not await bus.waiting(DEAD):
        await asyncio.sleep(0.05)
    await consumer.end()
    await dead_letters.collect(bus.beta, amqp_url=bus.amqp_url("beta"), queue=DEAD)
    async with bus.beta.transaction() as session:
        (letter,) = await dead_letters.letters(session)
        assert (letter.reason, letter.type, letter.aggregate) == ("rejected", None, "refused")
        assert letter.body == sent
        assert await dead_letters.replay(session, [letter.event_id]) == 0
        assert await dead_letters.drop(session, [letter.event_id]) == 1


async def test_a_replay_that_fails_again_climbs_the_ladder_again(bus: BusStand) -> None:
    await dies(bus, Happened(thing_id=uuid4(), number=1))

    async def refuse(session: AsyncSession, event: Happened, delivery: Delivery) -> None:
        raise LookupError

    retries = bus.retries({**HANDLERS, Happened: refuse})
    async with bus.beta.transaction() as session:
        (letter,) = await dead_letters.letters(session)
        await dead_letters.replay(session, [letter.event_id])
    await bus.until("SELECT state = 'waiting' AND reason = 'LookupError' FROM inbox")
    await retries.end()
