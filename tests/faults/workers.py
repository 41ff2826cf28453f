"""Starting, killing and following worker processes, and what must be true after any of it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from tempfile import TemporaryFile
from typing import IO

from tests import forks
from tests.bus import BusStand


@asynccontextmanager
async def worker(
    bus: BusStand, *loops: str, crash_at: str = "", more: Mapping[str, str] | None = None
) -> AsyncIterator[forks.Process]:
    """A process with these loops, once it runs; killed at the end if it still lives."""
    with TemporaryFile() as log:
        process = await forks.start(
            "tests.faults.bus_worker",
            *loops,
            env={**os.environ, **bus.environment, "CCIB_CRASH_AT": crash_at, **(more or {})},
            log=log.fileno(),
            piped=True,
        )
        try:
            assert process.stdout is not None
            told = await asyncio.wait_for(process.stdout.readline(), 60)
            assert told == b"ready\n", _said(log)
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            ended = await process.wait()
            assert ended in (0, -signal.SIGKILL), _said(log)


def _said(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode(errors="replace")[-20_000:]


async def died(process: forks.Process, *, seconds: float = 30) -> None:
    """Wait until it was killed; anything else is a failure."""
    assert await asyncio.wait_for(process.wait(), seconds) == -signal.SIGKILL


async def terminate(process: forks.Process, *, seconds: float = 15) -> None:
    """SIGTERM, and a good end."""
    process.terminate()
    ended = await asyncio.wait_for(process.wait(), seconds)
    assert ended == 0, ended


async def done(bus: BusStand, count: int, *, seconds: float = 60) -> None:
    """Wait until so many events are finished."""
    await bus.until("SELECT count(*) = $1 FROM inbox WHERE state = 'done'", count, seconds=seconds)


async def cut(bus: BusStand, application: str) -> None:
    """Kill the database connections of that name, as a failover does."""
    await bus.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE $1"
        " AND application_name <> 'ccib-alpha' AND pid <> pg_backend_pid()",
        application,
    )
