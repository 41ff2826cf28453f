import asyncio
from uuid import UUID, uuid4

import aio_pika
import pytest

from chassis import commands, inbox
from chassis.inbox import Delivery
from contracts.base import Envelope
from contracts.privacy import Erase
from tests.bus import BusStand, Happened, Running, an_envelope

QUEUE = "beta.erasure"


async def command(bus: BusStand, body: bytes) -> None:
    async with await aio_pika.connect(bus.amqp_url("admin")) as connection:
        exchange = await (await connection.channel()).get_exchange("ccib.commands", ensure=False)
        message = aio_pika.Message(body, user_id=f"{bus.vhost}-admin", delivery_mode=2)
        await exchange.publish(message, Erase.routing_key())


def running(bus: BusStand, handle: commands.Handle) -> Running:
    return bus.run(
        lambda stop: inbox.run_commands(
            amqp_url=bus.amqp_url("beta"), queue=QUEUE, handle=handle, stop=stop
        )
    )


def a_body(event_id: UUID) -> bytes:
    # Its type does not matter here: the handler of commands reads it itself.
    return an_envelope(Happened(thing_id=uuid4(), number=1), event_id=event_id)


async def test_commands_run_side_by_side(bus: BusStand) -> None:
    ids = [uuid4() for _ in range(6)]
    for one in ids:
        await command(bus, a_body(one))
    done: set[UUID] = set()
    together = asyncio.Barrier(5)  # the first comes alone: a new consumer is careful

    async def handle(envelope: Envelope, delivery: Delivery) -> None:
        assert delivery.sender == f"{bus.vhost}-admin"
        if done:
            async with asyncio.timeout(10):
                await together.wait()
        done.add(envelope.id)

    loop = running(bus, handle)
    async with asyncio.timeout(20):
        while len(done) < 6:
            await asyncio.sleep(0.05)
    await loop.end()
    assert done == set(ids)
    assert await bus.waiting(QUEUE) == 0


async def test_a_command_that_fails_is_tried_again_in_place(
    bus: BusStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "PAUSES_S", (0, 0.1, 0.1))
    attempts: list[UUID] = []

    async def handle(envelope: Envelope, delivery: Delivery) -> None:
        attempts.append(envelope.id)
        if len(attempts) < 3:
            raise ConnectionRefusedError

    loop = running(bus, handle)
    one = uuid4()
    await command(bus, a_body(one))
    while len(attempts) < 3:
        await asyncio.sleep(0.05)
    await loop.end()
    assert attempts == [one] * 3
    assert await bus.waiting(QUEUE) == 0


async def test_a_command_that_always_fails_is_left_to_whoever_gave_it(
    bus: BusStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "PAUSES_S", (0, 0.1))
    attempts: list[UUID] = []

    async def handle(envelope: Envelope, delivery: Delivery) -> None:
        attempts.append(envelope.id)
        raise RuntimeError

    loop = running(bus, handle)
    one, two = uuid4(), uuid4()
    await command(bus, a_body(one))
    await command(bus, a_body(two))
    while len(attempts) < 4:
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)
    await loop.end()
    assert sorted(attempts) == sorted([one, one, two, two])
    assert await bus.waiting(QUEUE) == 0
    assert await bus.waiting("beta.dead") == 0


async def test_what_is_no_cloud_event_goes_to_the_dead_letters(bus: BusStand) -> None:
    done: list[UUID] = []

    async def handle(envelope: Envelope, delivery: Delivery) -> None:
        done.append(envelope.id)

    loop = running(bus, handle)
    await command(bus, b"nonsense")
    await command(bus, a_body(uuid4()))
    await bus.messages("beta.dead", 1)
    while not done:
        await asyncio.sleep(0.05)
    await loop.end()


async def test_a_command_in_hand_when_the_process_stops_comes_again(bus: BusStand) -> None:
    begun = asyncio.Event()

    async def hang(envelope: Envelope, delivery: Delivery) -> None:
        begun.set()
        await asyncio.sleep(60)

    loop = running(bus, hang)
    await command(bus, a_body(uuid4()))
    await begun.wait()
    loop.stop.set()
    await asyncio.sleep(0.2)
    loop.task.cancel()  # what the edge does once its patience is over
    await asyncio.wait([loop.task])
    redelivered: list[bool] = []

    async def handle(envelope: Envelope, delivery: Delivery) -> None:
        redelivered.append(delivery.redelivered)

    again = running(bus, handle)
    while not redelivered:
        await asyncio.sleep(0.05)
    await again.end()
    assert redelivered == [True]
