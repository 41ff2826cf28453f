"""From the commit of an event in one process to the commit of its effect in another."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median, quantiles

from bench.figures import Figure, Goal, Ground, Measure, Stopwatch
from deploy.local.layout import REPOSITORY
from tests.bus import BusStand, bus_standing

LOAD = 0.2
SECONDS = 10.0
BURST = 2_000


async def commit_to_effect(ground: Ground) -> Sequence[Figure]:
    """Three processes, as in production: an API, the worker beside it, the worker that listens."""
    halves, tails, full, paced = [], [], [], []
    for number in range(ground.rounds):
        async with bus_standing(ground.servers) as bus:
            full.append(await _full_rate(bus, ground, ground.size(BURST)))
        async with bus_standing(ground.servers) as bus:
            rate = full[-1] * LOAD
            count = ground.size(int(rate * SECONDS))
            delays = await _paced(bus, ground, number=number, count=count, rate=rate)
        percentiles = quantiles(delays, n=100)
        halves.append(percentiles[49])
        tails.append(percentiles[98])
        paced.append(rate)
    details = {"full_rate": full, "rate": paced, "load": LOAD, "processes": 3}
    return [
        Figure(
            name=f"commit → handler done at {LOAD:.0%} load, {name}",
            unit="ms",
            measured=median(values),
            goal=Goal(of="measured", at_most=limit),
            rounds={"measured": values},
            details=details,
        )
        for name, values, limit in (("p50", halves, 15), ("p99", tails, 100))
    ]


async def _full_rate(bus: BusStand, ground: Ground, count: int) -> float:
    """Events per second through all three processes, when there are plenty."""
    file = ground.folder / "full"
    async with (
        _process(bus, "worker", file),
        _process(bus, "relay", file),
        _process(bus, "api", file, count, 0) as api,
    ):
        await _line(api, b"written\n")
        watch = Stopwatch()
        await bus.until("SELECT count(*) = $1 FROM inbox", count, seconds=300)
        return count / watch.seconds


async def _paced(
    bus: BusStand, ground: Ground, *, number: int, count: int, rate: float
) -> list[float]:
    """The delays in milliseconds, without the first tenth: processes warm up."""
    committed, done = (ground.folder / f"{name}-{number}.json" for name in ("committed", "done"))
    async with (
        _process(bus, "worker", done),
        _process(bus, "relay", ground.folder / "relay"),
        _process(bus, "api", committed, count, rate) as api,
    ):
        await _line(api, b"written\n")
        await bus.until("SELECT count(*) = $1 FROM inbox", count, seconds=60)
    begun, ended = (json.loads(file.read_text()) for file in (committed, done))
    return [(ended[one] - begun[one]) / 1e6 for one in map(str, range(count // 10, count))]


@asynccontextmanager
async def _process(
    bus: BusStand, role: str, file: Path, *numbers: float
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.latency_process", role, str(file), *map(str, numbers)),
        cwd=REPOSITORY,
        env={**os.environ, **bus.environment},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        await _line(process, b"ready\n")
        yield process
        process.terminate()
        if code := await asyncio.wait_for(process.wait(), 30):
            raise RuntimeError(f"{role} ended with {code}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _line(process: asyncio.subprocess.Process, wanted: bytes) -> None:
    if process.stdout is None:
        raise RuntimeError("its output is not read")
    async with asyncio.timeout(120):
        while (line := await process.stdout.readline()) != wanted:
            if not line:
                raise RuntimeError("a process died before its time: see its traceback above")


FIGURES: Sequence[Measure] = (commit_to_effect,)
