"""One process of the toy services: `python -m tests.faults.bus_worker relay consumer …`.

It tells its standard output `ready` and runs until SIGTERM. The note of an event says what it does to its handler:
`kill` the process, as a bug in a native library would, `hang-first` (in a process not told that it is the second),
`fail`; `kill@1700000000` only until that instant.
"""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Awaitable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import clock, inbox, log, outbox, relay, retries, service
from chassis.db import Database
from chassis.inbox import Delivery
from contracts.base import Envelope
from tests.bus import HANDLERS, Happened, note_happened
from tests.faults.history import History

PAUSE_S = 0.03
"""Between two transactions of a writer."""


async def note_or_die(session: AsyncSession, event: Happened, delivery: Delivery) -> None:
    what, _, until = (event.note or "").partition("@")
    if not until or time.time() < float(until):
        match what:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang-first" if "BUS_SECOND" not in os.environ:
                print("hanging", flush=True)
                await asyncio.sleep(3600)
            case "fail":
                raise RuntimeError(event.number)
            case "fail-until-repaired" if not Path(os.environ["BUS_REPAIRED"]).exists():
                raise RuntimeError(event.number)
    if what == "slow":
        await asyncio.sleep(0.005)
    await note_happened(session, event, delivery)


async def carry_out(envelope: Envelope, delivery: Delivery) -> None:
    assert envelope.id == delivery.event_id
    print("carried out", flush=True)


async def write(db: Database, stop: asyncio.Event) -> None:
    """Transactions of a few events each, noted in the history; what fails is told to nobody else."""
    things = [UUID(one) for one in os.environ["BUS_THINGS"].split(",")]
    number = int(os.environ["BUS_FIRST"])
    chance = random.Random(number)
    history = History(Path(os.environ["BUS_HISTORY"]))
    while not stop.is_set():
        chosen = chance.sample(things, min(3, len(things)))
        events = [Happened(thing_id=thing, number=number) for thing in chosen]
        try:
            with history.commit(*(f"{thing}/{number}" for thing in chosen)):
                async with db.transaction() as session:
                    outbox.publish(session, *events)
        except (SQLAlchemyError, OSError, asyncpg.InterfaceError) as error:
            print("not known to be committed:", type(error).__name__, file=sys.stderr)
            await asyncio.sleep(0.1)
        number += 1
        await asyncio.sleep(PAUSE_S)


async def main(*loops: str) -> None:
    log.configure(service="worker")
    url = os.environ["BUS_DATABASE"]
    clock.shift(timedelta(seconds=float(os.environ.get("BUS_CLOCK", "0"))))
    alpha, beta = Database(url, service="alpha", pool=2), Database(url, service="beta", pool=4)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    handlers = {**HANDLERS, Happened: note_or_die}
    starting: list[Awaitable[None]] = []
    for loop in loops:
        match loop:
            case "relay":
                starting.append(
                    relay.run_relay(db=alpha, amqp_url=os.environ["BUS_ALPHA"], stop=stop)
                )
            case "consumer":
                starting.append(
                    inbox.run_consumer(
                        db=beta,
                        amqp_url=os.environ["BUS_BETA"],
                        queue="beta.events",
                        handlers=handlers,
                        stop=stop,
                    )
                )
            case "retries":
                starting.append(inbox.run_retries(db=beta, handlers=handlers, stop=stop))
            case "commands":
                starting.append(
                    inbox.run_commands(
                        amqp_url=os.environ["BUS_BETA"],
                        queue="beta.erasure",
                        handle=carry_out,
                        stop=stop,
                    )
                )
            case "writer":
                starting.append(write(alpha, stop))
    print("ready", flush=True)
    if "BUS_RETRIES" in os.environ:
        retries.RETRIES_S = tuple(map(int, os.environ["BUS_RETRIES"].split(",")))
    service.PATIENCE_S = float(os.environ.get("BUS_PATIENCE", service.PATIENCE_S))
    runtime: Any = SimpleNamespace(stop=stop, db=beta)
    async with service.running(runtime, starting):
        await stop.wait()
    await alpha.dispose()
    await beta.dispose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
