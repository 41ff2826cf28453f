"""Publishing as fast as aio-pika goes: confirms, mandatory, persistent, a window in flight."""

import asyncio
import time
from collections.abc import Iterable
from uuid import uuid4

import aio_pika

WINDOW = 200


async def publish(
    amqp_url: str, *, exchange: str, routing_key: str, user_id: str, bodies: Iterable[bytes]
) -> float:
    """Publish these bodies; returns the seconds from the first publish to the last confirm."""
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        target = await channel.get_exchange(exchange, ensure=False)
        left = iter(bodies)

        async def one_after_the_other() -> None:
            for body in left:
                message = aio_pika.Message(
                    body,
                    content_type="application/cloudevents+json",
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                    message_id=str(uuid4()),
                    user_id=user_id,
                )
                await target.publish(message, routing_key, mandatory=True)

        start = time.perf_counter()
        await asyncio.gather(*(one_after_the_other() for _ in range(WINDOW)))
        return time.perf_counter() - start
