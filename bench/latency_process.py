"""One process of the latency figure: `python -m bench.latency_process ROLE FILE [COUNT RATE]`.

`api` commits COUNT events, RATE a second (0: all in one transaction), and relays them, as the API of
a service does; `relay` is the worker beside it; `worker` is the worker of the service that listens.
`api` and `worker` write to FILE, when told to end, the instant of each event's commit: the monotonic
clock, which processes of one machine share.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import uvloop
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from chassis import inbox, outbox, relay
from chassis.db import Database
from chassis.inbox import Delivery
from contracts.base import Event
from tests.bus import CONSUMER, PRODUCER, Happened, note_happened

THINGS = 200
_NUMBERS = "numbers"
_committed: dict[int, int] = {}


@event.listens_for(Session, "after_commit")
def _note_commit(session: Session) -> None:
    now = time.monotonic_ns()
    for number in session.info.get(_NUMBERS, ()):
        _committed.setdefault(number, now)


async def handle(session: AsyncSession, happened: Happened, delivery: Delivery) -> None:
    """What the listening service does with an event: one row."""
    await note_happened(session, happened, delivery)
    session.info.setdefault(_NUMBERS, []).append(happened.number)


async def write(db: Database, *, count: int, rate: float) -> None:
    """Commit events at random instants, so many a second on average, whatever became of earlier."""
    things = [uuid4() for _ in range(THINGS)]
    if not rate:
        await _commit(db, things, range(count))
        return
    loop = asyncio.get_running_loop()
    due = loop.time()
    async with asyncio.TaskGroup() as running:
        for number in range(count):
            due += random.expovariate(rate)
            await asyncio.sleep(max(0, due - loop.time()))
            running.create_task(_commit(db, things, range(number, number + 1)))


async def _commit(db: Database, things: list[UUID], numbers: range) -> None:
    async with db.transaction() as session:
        session.info[_NUMBERS] = list(numbers)
        outbox.publish(
            session,
            *(Happened(thing_id=things[number % THINGS], number=number) for number in numbers),
        )


async def main(role: str, file: Path, *, count: int, rate: float) -> None:
    """Play the role until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    service = CONSUMER if role == "worker" else PRODUCER
    db = Database(os.environ["BUS_DATABASE"], service=service)
    amqp_url = os.environ[f"BUS_{service.upper()}"]
    async with asyncio.TaskGroup() as loops:
        if role == "worker":
            handlers: dict[type[Event], inbox.Handler[Any]] = {Happened: handle}
            loops.create_task(
                inbox.run_consumer(
                    db=db,
                    amqp_url=amqp_url,
                    queue=f"{CONSUMER}.events",
                    handlers=handlers,
                    stop=stop,
                )
            )
            loops.create_task(inbox.run_retries(db=db, handlers=handlers, stop=stop))
        else:
            loops.create_task(relay.run_relay(db=db, amqp_url=amqp_url, stop=stop))
        print("ready", flush=True)
        if count:
            await write(db, count=count, rate=rate)
            print("written", flush=True)
    await db.dispose()
    await asyncio.to_thread(file.write_text, json.dumps(_committed))


if __name__ == "__main__":
    _, role, file, *numbers = sys.argv
    count, rate = map(float, numbers or ("0", "0"))
    uvloop.run(main(role, Path(file), count=int(count), rate=rate))
