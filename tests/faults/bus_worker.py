"""One process of the toy services: `python -m tests.faults.bus_worker relay consumer …`.

It tells its standard output `ready` and runs until SIGTERM. An event whose note is `kill` kills it, as a bug in a
native library would.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import inbox, log, outbox, relay
from chassis.db import Database
from chassis.inbox import Delivery
from contracts.base import Envelope
from tests.bus import HANDLERS, Happened, note_happened


async def note_or_die(session: AsyncSession, event: Happened, delivery: Delivery) -> None:
    if event.note == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if event.note == "slow":
        await asyncio.sleep(0.005)
    await note_happened(session, event, delivery)


async def carry_out(envelope: Envelope, delivery: Delivery) -> None:
    assert envelope.id == delivery.event_id
    print("carried out", flush=True)


async def write(db: Database, stop: asyncio.Event) -> None:
    """Transactions of one event each about one thing, as fast as they go."""
    thing = UUID(os.environ["BUS_THING"])
    number = 0
    while not stop.is_set():
        async with db.transaction() as session:
            outbox.publish(session, Happened(thing_id=thing, number=number))
        number += 1


async def main(*loops: str) -> None:
    log.configure(service="worker")
    url = os.environ["BUS_DATABASE"]
    alpha, beta = Database(url, service="alpha", pool=2), Database(url, service="beta", pool=4)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    handlers = {**HANDLERS, Happened: note_or_die}
    running: list[Awaitable[None]] = []
    for loop in loops:
        match loop:
            case "relay":
                running.append(
                    relay.run_relay(db=alpha, amqp_url=os.environ["BUS_ALPHA"], stop=stop)
                )
            case "consumer":
                running.append(
                    inbox.run_consumer(
                        db=beta,
                        amqp_url=os.environ["BUS_BETA"],
                        queue="beta.events",
                        handlers=handlers,
                        stop=stop,
                    )
                )
            case "retries":
                running.append(inbox.run_retries(db=beta, handlers=handlers, stop=stop))
            case "commands":
                running.append(
                    inbox.run_commands(
                        amqp_url=os.environ["BUS_BETA"],
                        queue="beta.erasure",
                        handle=carry_out,
                        stop=stop,
                    )
                )
            case "writer":
                running.append(write(alpha, stop))
    print("ready", flush=True)
    await asyncio.gather(*running)
    await alpha.dispose()
    await beta.dispose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
