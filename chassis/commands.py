"""Commands need no order: each message is a task of its own, retried in place."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog
from aio_pika.abc import AbstractIncomingMessage

from chassis import crash
from chassis.bus import BROKEN, wait_any
from chassis.consuming import Delivery, Source, consume, decode, deliveries, delivery_of, suspicious
from contracts.base import Envelope

PAUSES_S = (0, 1, 2, 5, 10)
"""Before each attempt. Whoever gave the command gives it again when it hears nothing."""

logger = structlog.get_logger()

Handle = Callable[[Envelope, Delivery], Awaitable[None]]


async def run_commands(
    *, amqp_url: str, queue: str, handle: Handle, stop: asyncio.Event, concurrency: int = 10
) -> None:
    """Hand every command of the queue to `handle`, up to `concurrency` at once, until `stop`.

    `handle` opens its own transactions and may see a command more than once. When it has failed at
    every attempt, the command is acknowledged all the same: silence is never success, so its giver
    repeats it. What is not a CloudEvent goes to the dead letters.
    """

    async def work(source: Source) -> None:
        tasks: set[asyncio.Task[None]] = set()
        while taken := await source.take(concurrency, stop):
            for message in taken:
                if not suspicious(message):
                    task = asyncio.create_task(_carry_out(message, source, queue, handle, stop))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
            # One at a time, in any order: one that kills the process does not always come first,
            # so that its neighbours are done before they share its delivery limit.
            for message in filter(suspicious, random.sample(taken, len(taken))):
                await _carry_out(message, source, queue, handle, stop)
        try:
            await asyncio.gather(*tasks)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    await consume(amqp_url=amqp_url, queue=queue, prefetch=concurrency, stop=stop, work=work)


async def _carry_out(
    message: AbstractIncomingMessage,
    source: Source,
    queue: str,
    handle: Handle,
    stop: asyncio.Event,
) -> None:
    try:
        envelope = await decode(message, queue=queue)
        if envelope is not None:
            delivery = delivery_of(
                envelope, sender=message.user_id, redelivered=deliveries(message) > 0
            )
            if not await _attempts(envelope, delivery, source, handle, stop):
                return
            crash.point("commands.before_ack")
            await message.ack()
    except BROKEN:
        source.lost.set()


async def _attempts(
    envelope: Envelope, delivery: Delivery, source: Source, handle: Handle, stop: asyncio.Event
) -> bool:
    """Whether to acknowledge: not when the process stops or the message will come again anyway."""
    for attempt, pause in enumerate(PAUSES_S, start=1):
        if pause:
            await wait_any(stop, source.lost, within=pause)
            if stop.is_set() or source.lost.is_set():
                return False
        try:
            await handle(envelope, delivery)
        except Exception as error:
            logger.warning(
                "command_failed",
                event_id=str(delivery.event_id),
                type=delivery.type,
                attempt=attempt,
                exc_info=error,
            )
        else:
            return True
    logger.error("command_given_up", event_id=str(delivery.event_id), type=delivery.type)
    return True
