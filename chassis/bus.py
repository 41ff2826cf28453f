"""Speaking to RabbitMQ: connections that fail soon, and a publisher that knows what became of it."""

import asyncio
import random
from enum import StrEnum
from types import TracebackType
from typing import Self, cast
from urllib.parse import unquote, urlsplit

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelClosed, DeliveryError, PublishError
from aiormq import Channel, spec

CONTENT_TYPE = "application/cloudevents+json"
HEARTBEAT_S = 10
CONNECT_TIMEOUT_S = 10

BROKEN = (AMQPError, OSError, RuntimeError, TimeoutError)
"""What a lost broker looks like; aiormq raises `RuntimeError` for a channel that is gone."""


class Outcome(StrEnum):
    """What became of one publish."""

    ACKNOWLEDGED = "acknowledged"
    """Every queue that it was routed to holds it."""
    RETURNED = "returned"
    """No queue wants it."""
    REFUSED = "refused"
    """A queue said no, for instance because it is full."""
    IMPOSSIBLE = "impossible"
    """The broker closed the channel over this very message: no such exchange, no permission."""
    UNKNOWN = "unknown"
    """Time-out or lost connection: it may have arrived or not."""


async def connect(amqp_url: str, *, purpose: str) -> AbstractConnection:
    """A connection that does not reconnect by itself: whoever uses it starts over, with jitter.

    The heartbeat of the URL counts when it has one. Raises aio-pika's `AMQPConnectionError`.
    """
    query = urlsplit(amqp_url).query
    if "heartbeat=" not in query:
        amqp_url += f"{'&' if query else '?'}heartbeat={HEARTBEAT_S}"
    return await aio_pika.connect(
        amqp_url,
        timeout=CONNECT_TIMEOUT_S,
        client_properties={"connection_name": f"{user_of(amqp_url)} {purpose}"},
    )


def user_of(amqp_url: str) -> str:
    """The broker user that the URL logs in as."""
    return unquote(urlsplit(amqp_url).username or "guest")


async def close(connection: AbstractConnection) -> None:
    """Close without waiting long for a broker that may be gone."""
    try:
        async with asyncio.timeout(2):
            await connection.close()
    except BROKEN:
        pass


def jittered(seconds: float) -> float:
    """Between half and all of it, so that replicas do not come back all at once."""
    return seconds * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


async def wait_any(*events: asyncio.Event, within: float | None = None) -> None:
    """Return when one of the events is set, or after so many seconds."""
    if any(event.is_set() for event in events):
        return
    waiters = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiters, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiters:
            waiter.cancel()


class Backoff:
    """Growing, jittered pauses between attempts, in seconds."""

    def __init__(self, *, first: float = 0.1, longest: float) -> None:
        self._first, self._longest = first, longest
        self.reset()

    def reset(self) -> None:
        """It worked: the next pause is short again."""
        self._pause = self._first

    def next(self) -> float:
        """The pause before the next attempt."""
        pause, self._pause = self._pause, min(self._longest, self._pause * 2)
        return jittered(pause)


class Publisher:
    """Publishes on a connection of its own, for consumers must live when publishing is blocked.

    After `UNKNOWN` or `IMPOSSIBLE` it is `broken`: leave it and open another one. The same message
    must never be in flight twice on one channel, and a channel cannot forget what it has sent.
    """

    def __init__(self, connection: AbstractConnection, channel: Channel, user_id: str) -> None:
        self._connection = connection
        self._channel = channel
        self._in_flight: set[str] = set()
        self._alone: str | None = None
        self._user_id = user_id
        self.broken = False
        self.suspicious = False
        """The broker closed the channel over one of several messages in flight."""

    @classmethod
    async def open(cls, amqp_url: str) -> Self:
        """Connect; raises aio-pika's `AMQPConnectionError`."""
        connection = await connect(amqp_url, purpose="publish")
        try:
            # Without on_return_raises an unroutable message would look like a success.
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            underlay = await channel.get_underlay_channel()
        except BaseException:
            await close(connection)
            raise
        return cls(connection, cast("Channel", underlay), user_of(amqp_url))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await close(self._connection)

    async def publish(
        self, exchange: str, routing_key: str, body: bytes, message_id: str, within: float = 10
    ) -> Outcome:
        """Publish one persistent, mandatory message; wait so many seconds for what becomes of it.

        The broker compares `user_id` with the connection's user: consumers can believe it. Raises
        `ValueError` when this message is in flight already.
        """
        if message_id in self._in_flight:
            raise ValueError(f"{message_id} is in flight")
        self._alone = None if self._in_flight else message_id
        self._in_flight.add(message_id)
        properties = spec.Basic.Properties(
            content_type=CONTENT_TYPE,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=message_id,
            user_id=self._user_id,
        )
        try:
            await self._channel.basic_publish(
                body,
                exchange=exchange,
                routing_key=routing_key,
                properties=properties,
                mandatory=True,
                timeout=within,
                # Not for its turn on the socket, one message at a time: for its confirm alone.
                wait=False,
            )
        except PublishError:
            return Outcome.RETURNED
        except DeliveryError:
            return Outcome.REFUSED
        except ChannelClosed:
            self.broken = self.suspicious = True
            return Outcome.IMPOSSIBLE if self._alone == message_id else Outcome.UNKNOWN
        except BROKEN:
            self.broken = True
            return Outcome.UNKNOWN
        except asyncio.CancelledError:
            self.broken = True
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return Outcome.UNKNOWN  # the library cancels what waits on a connection that closes
        finally:
            self._in_flight.discard(message_id)
        return Outcome.ACKNOWLEDGED
