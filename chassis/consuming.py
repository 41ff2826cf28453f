"""Taking messages off a queue: one connection, in order, a few at a time, acknowledged by hand.

A quorum queue puts what a lost consumer held behind what it has already put back. The order survives
because every consumer has the same prefetch: the next one is handed all of it at once, and nobody
holds a part. A consumer that began with one message, lost it, and left the rest to its successor
would have moved that message behind the others.

A message that kills the process must not take its neighbours to the dead letters: the broker counts
a delivery for everything the dying consumer held. Whoever takes messages looks at `suspicious`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from prometheus_client import Counter
from pydantic import ValidationError

from chassis import crash
from chassis.bus import BROKEN, Backoff, close, connect, wait_any
from contracts.base import Envelope

SUSPICIOUS = 2
"""Lost once is a restart or a network; lost twice over the same message may be its doing."""

_redelivered = Counter(
    "ccib_bus_redelivered", "Messages that the broker delivered again", ["queue"]
)
_refused = Counter(
    "ccib_bus_dead_lettered", "Messages sent to the dead letters of a queue", ["queue", "reason"]
)

logger = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How a message came, beside what it says."""

    event_id: UUID
    type: str
    sequence: int | None
    time: datetime
    source: str
    """What the message claims; `sender` is what the broker vouches for."""
    sender: str | None
    """The broker user who published it; None when it did not say, which ours always do."""
    redelivered: bool
    data: Mapping[str, Any]
    """What was said, as it was said: a signature covers fields that we may not know."""


def delivery_of(envelope: Envelope, *, sender: str | None, redelivered: bool) -> Delivery:
    """The delivery of a decoded message."""
    return Delivery(
        event_id=envelope.id,
        type=envelope.type,
        sequence=envelope.sequence,
        time=envelope.time,
        source=envelope.source,
        sender=sender,
        redelivered=redelivered,
        data=envelope.data,
    )


class Source:
    """One consumer on one queue."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        """The channel is gone: what was taken will be delivered again, here or elsewhere."""
        self._arrived = asyncio.Event()
        self._buffer: deque[AbstractIncomingMessage] = deque()

    @classmethod
    async def open(cls, channel: AbstractChannel, *, queue: str, prefetch: int) -> Self:
        """Start consuming; raises aio-pika's `ChannelClosed` when there is no such queue."""
        source = cls()
        await channel.set_qos(prefetch_count=prefetch)
        channel.close_callbacks.add(source._on_gone)
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(source._on_gone)
        declared = await channel.get_queue(queue, ensure=False)
        await declared.consume(source._on_message)
        return source

    def _on_gone(self, *_: Any) -> None:
        self.lost.set()

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        # The library starts one task per message, in order: without an await none can overtake.
        self._buffer.append(message)
        self._arrived.set()

    async def take(self, limit: int, stop: asyncio.Event) -> list[AbstractIncomingMessage]:
        """What has arrived, at least one message; empty when it is time to leave this source."""
        while not stop.is_set() and not self.lost.is_set():
            if self._buffer:
                return [self._buffer.popleft() for _ in range(min(limit, len(self._buffer)))]
            self._arrived.clear()
            await wait_any(self._arrived, self.lost, stop)
        return []


async def consume(
    *,
    amqp_url: str,
    queue: str,
    prefetch: int,
    stop: asyncio.Event,
    work: Callable[[Source], Awaitable[None]],
) -> None:
    """Give `work` a source, again and again, until `stop`; a lost broker is waited for.

    `work` returns once `Source.take` gave it nothing, and everything taken is finished or left.
    """
    backoff = Backoff(longest=3.0)
    while not stop.is_set():
        try:
            connection = await connect(amqp_url, purpose=f"consume {queue}")
            try:
                channel = await connection.channel(publisher_confirms=False)
                source = await Source.open(channel, queue=queue, prefetch=prefetch)
                backoff.reset()
                await work(source)
            finally:
                await close(connection)
        except BROKEN as error:
            logger.warning("consumer_lost_connection", queue=queue, error=type(error).__name__)
        if not stop.is_set():
            await wait_any(stop, within=backoff.next())


def deliveries(message: AbstractIncomingMessage) -> int:
    """How often the broker delivered it before; quorum queues count."""
    counted = message.headers.get("x-delivery-count")
    return counted if isinstance(counted, int) else int(bool(message.redelivered))


def suspicious(message: AbstractIncomingMessage) -> bool:
    """Whether its consumer was lost twice: it may be what kills them."""
    return deliveries(message) >= SUSPICIOUS


async def decode(message: AbstractIncomingMessage, *, queue: str) -> Envelope | None:
    """The CloudEvent of a message; what is none goes to the dead letters, loudly."""
    if deliveries(message):
        _redelivered.labels(queue).inc()
    try:
        return Envelope.model_validate_json(message.body)
    except ValidationError:
        await refuse(message, queue=queue, reason="undecodable")
        return None


async def refuse(message: AbstractIncomingMessage, *, queue: str, reason: str) -> None:
    """Send a message to the dead letters of its queue."""
    _refused.labels(queue, reason).inc()
    logger.error(
        "message_dead_lettered",
        queue=queue,
        reason=reason,
        message_id=message.message_id,
        sender=message.user_id,
    )
    crash.point("consuming.before_reject")
    await message.reject(requeue=False)
