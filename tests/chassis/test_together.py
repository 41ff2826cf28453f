"""Handlers that take several events at once: the same effects, once, in the same order."""

from collections.abc import Sequence
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.inbox import Together
from tests.bus import BusStand, Happened, Joined, effect, note_joined

DONE = "SELECT count(*) = $1 FROM inbox WHERE state = 'done'"


class Crowd:
    """A handler for many that keeps how many came at once."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    async def __call__(self, session: AsyncSession, events: Sequence[Happened]) -> None:
        self.sizes.append(len(events))
        if any(event.note == "poison" for event in events):
            raise RuntimeError
        await session.execute(
            effect.insert(),
            [
                {"event_id": uuid4(), "thing_id": str(event.thing_id), "number": event.number}
                for event in events
            ],
        )


async def test_what_waits_is_handled_at_once_in_order(bus: BusStand) -> None:
    crowd, things = Crowd(), [uuid4() for _ in range(10)]
    for number in range(20):
        await bus.publish(*(Happened(thing_id=thing, number=number) for thing in things))
    relay = bus.relay()
    await bus.drained()
    consumer = bus.consumer({Happened: Together(crowd)})
    await bus.until(DONE, 200)
    assert await bus.effects() == {str(thing): list(range(20)) for thing in things}
    assert len(crowd.sizes) <= 20, crowd.sizes
    for one in (relay, consumer):
        await one.end()


async def test_another_type_in_between_keeps_its_place(bus: BusStand) -> None:
    """An effect of the one type is there before an event of the other that came later."""
    thing, seen = uuid4(), []

    async def look(session: AsyncSession, event: Joined, delivery: object) -> None:
        seen.append((await session.execute(effect.select())).rowcount)

    for number in range(3):
        await bus.publish(
            Happened(thing_id=thing, number=2 * number),
            Happened(thing_id=thing, number=2 * number + 1),
            Joined(thing_id=thing, person_id=uuid4()),
        )
    relay = bus.relay()
    await bus.drained()
    consumer = bus.consumer({Happened: Together(Crowd()), Joined: look})
    await bus.until(DONE, 9)
    assert seen == [2, 4, 6]
    for one in (relay, consumer):
        await one.end()


async def test_one_that_fails_is_found_and_takes_nobody_with_it(bus: BusStand) -> None:
    crowd, things, broken = Crowd(), [uuid4() for _ in range(30)], uuid4()
    await bus.publish(*(Happened(thing_id=thing, number=0) for thing in things[:15]))
    await bus.publish(Happened(thing_id=broken, number=0, note="poison"))
    await bus.publish(*(Happened(thing_id=thing, number=0) for thing in things[15:]))
    await bus.publish(*(Happened(thing_id=thing, number=1) for thing in [broken, *things]))
    relay = bus.relay()
    await bus.drained()
    handlers = {Happened: Together(crowd), Joined: note_joined}
    running = [relay, bus.consumer(handlers), bus.retries(handlers)]
    await bus.until(DONE, 60)
    assert await bus.effects() == {str(thing): [0, 1] for thing in things}
    waiting = await bus.rows("SELECT aggregate FROM inbox WHERE state = 'waiting'")
    assert [row["aggregate"] for row in waiting] == [str(broken)] * 2
    assert max(crowd.sizes) > 1
    for one in running:
        await one.end()
