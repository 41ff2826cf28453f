"""Consuming as plainly as can be: take, insert, commit, acknowledge. Nothing protects anything.

An effect may be lost, may happen twice, or come out of order; whom it names is not asked. The batches
are those of the inbox: what has arrived, up to a hundred, in one transaction and one acknowledgement.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import aio_pika
import asyncpg
from aio_pika.abc import AbstractIncomingMessage
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

BATCH = 100
PREFETCH = 200

Write = Callable[[Sequence[Mapping[str, Any]]], Awaitable[None]]
"""Inserts one row for each event, and commits."""


def with_sqlalchemy(engine: AsyncEngine, effect: Table) -> Write:
    """The same statement as the measured handler, once per event."""

    async def write(events: Sequence[Mapping[str, Any]]) -> None:
        async with AsyncSession(engine) as session, session.begin():
            for event in events:
                await session.execute(
                    effect.insert().values(
                        event_id=UUID(event["id"]),
                        thing_id=event["data"]["thing_id"],
                        number=event["data"]["number"],
                    )
                )

    return write


def with_asyncpg(connection: asyncpg.Connection) -> Write:
    """The same row by the bare driver, still once per event."""

    async def write(events: Sequence[Mapping[str, Any]]) -> None:
        async with connection.transaction():
            for event in events:
                await connection.execute(
                    "INSERT INTO effect (event_id, thing_id, number) VALUES ($1, $2, $3)",
                    UUID(event["id"]),
                    event["data"]["thing_id"],
                    event["data"]["number"],
                )

    return write


async def consume(amqp_url: str, *, queue: str, count: int, write: Write) -> float:
    """Take so many messages; returns the seconds from the start of the consumer to the last ack."""
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=PREFETCH)
        arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        start = time.perf_counter()
        await (await channel.get_queue(queue, ensure=False)).consume(arrived.put)
        while count > 0:
            messages = [await arrived.get()]
            while len(messages) < BATCH and not arrived.empty():
                messages.append(arrived.get_nowait())
            await write([json.loads(message.body) for message in messages])
            await messages[-1].ack(multiple=True)
            count -= len(messages)
        return time.perf_counter() - start
