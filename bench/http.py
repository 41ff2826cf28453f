"""A read through the door of a service beside the same SQL under a bare HTTP call."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bench import door
from bench.figures import Figure, Ground, Measure, Stopwatch, beside, in_turns
from deploy.local.layout import REPOSITORY

TOGETHER = 8
"""Requests at a time, each on a connection that stays open."""


async def company_sheet(ground: Ground) -> Sequence[Figure]:
    """One company sheet: who asks, what they may see, the company, its people."""
    description, port = ground.folder / "directory.json", ground.folder / "bare.port"
    count = ground.size(1_000)
    servers = json.dumps(vars(ground.servers))
    async with (
        _process("bench.http_process", servers, str(ground.folder), str(description)),
        _process("bench.references.http", str(description), str(port), after=description),
    ):
        await _file(port)
        told: dict[str, Any] = json.loads(description.read_text())
        head = {"Host": "platform.example", "Authorization": told["authorization"]}
        request = door.request(told["path"], head)
        sides = {
            "measured": partial(_asked, told["port"], request, count),
            "reference": partial(_asked, int(port.read_text()), request, count),
        }
        for side in sides.values():
            await side()
        rounds = await in_turns(ground.rounds, **sides)
    return [
        beside(
            name="GET a company sheet, through its door",
            unit="requests/s",
            reference_name="the same SQL in a bare ASGI function",
            rounds=rounds,
            statements=told["count"],
            requests=count,
            together=TOGETHER,
        )
    ]


async def _asked(port: int, request: bytes, count: int) -> float:
    """Requests per second. Raises `RuntimeError` for an answer other than 200."""
    watch = Stopwatch()
    await door.seconds_each(port, request, count=count, together=TOGETHER)
    return count / watch.seconds


@asynccontextmanager
async def _process(module: str, *words: str, after: Path | None = None) -> AsyncIterator[None]:
    if after is not None:
        await _file(after)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *words),
        cwd=REPOSITORY,
        env={**os.environ},  # uvloop wants a dict
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 30)


async def _file(path: Path) -> None:
    """Wait until another process has written it."""
    async with asyncio.timeout(60):
        while not path.exists() or not path.stat().st_size:  # noqa: ASYNC240 - a moment
            await asyncio.sleep(0.05)


FIGURES: Sequence[Measure] = (company_sheet,)
