"""Many erasures in flight: from the wishes at privacy's door to the last certificate."""

import asyncio
import json
import time
from collections.abc import Sequence
from uuid import UUID

import aio_pika

from bench.erasure_platform import Platform
from chassis import clock
from chassis.ids import new_id
from contracts.base import Kind
from contracts.identity import AccountLocked

# By the index of those under way: looking must not take part of what is measured.
_DONE = """
SELECT NOT EXISTS (SELECT FROM erasure WHERE completed_at IS NULL)
    AND (SELECT count(*) FROM erasure) >= $1
"""


async def ask(running: Platform, people: Sequence[UUID]) -> None:
    """Each asks to be forgotten, as identity tells it."""
    user = f"{running.vhost}-identity"
    async with await aio_pika.connect(running.amqp["identity"]) as connection:
        exchange = await (await connection.channel()).get_exchange(Kind.FACT.value, ensure=False)
        window = asyncio.Semaphore(200)

        async def wish(person: UUID) -> None:
            async with window:
                await exchange.publish(
                    _message(person, user), AccountLocked.routing_key(), timeout=60
                )

        await asyncio.gather(*map(wish, people))


def _message(person: UUID, user: str) -> aio_pika.Message:
    told = AccountLocked(account_id=person, erasure_id=new_id(), requested_at=clock.now())
    envelope = {
        "specversion": "1.0",
        "id": str(new_id()),
        "source": "/services/identity",
        "type": told.event_type(),
        "subject": told.subject,
        "time": clock.now().isoformat(),
        "datacontenttype": "application/json",
        "data": told.model_dump(mode="json"),
    }
    return aio_pika.Message(
        json.dumps(envelope).encode(),
        content_type="application/cloudevents+json",
        message_id=str(envelope["id"]),
        user_id=user,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )


async def at_once(running: Platform, people: Sequence[UUID]) -> float:
    """Erasures per second, each with its evidence and certificate, from the first wish to the last."""
    before = await running.lines["privacy"].fetchval("SELECT count(*) FROM erasure")
    began = time.perf_counter()
    await ask(running, people)
    while not await running.lines["privacy"].fetchval(_DONE, before + len(people)):
        await asyncio.sleep(0.02)
    return len(people) / (time.perf_counter() - began)
