"""A participant whose HTTP door stands in the test and whose worker is a process that may die."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from chassis.service import Service
from tests import forks
from tests.stand import Stand, standing


@dataclass(kw_only=True)
class Participant:
    """One service, its settings known to the test."""

    stand: Stand
    folder: Path

    @asynccontextmanager
    async def process(self, *command: str, crash_at: str = "") -> AsyncIterator[forks.Process]:
        """A process of the service that dies at that point; it is killed at the end of the block."""
        settings = {
            f"CCIB_{name.upper()}": json.dumps(value) if isinstance(value, dict) else str(value)
            for name, value in self.stand.settings.model_dump(exclude_none=True).items()
        }
        process = await forks.start(
            *command,
            env={"PATH": os.environ["PATH"], "CCIB_CRASH_AT": crash_at, **settings},
            log=self.folder / "process.log",
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    @asynccontextmanager
    async def worker(self, *, crash_at: str = "") -> AsyncIterator[forks.Process]:
        name = f"services.{self.stand.runtime.service.name}.worker"
        async with self.process(name, crash_at=crash_at) as process:
            yield process

    async def dies(self, process: forks.Process, *, seconds: float = 60) -> None:
        """Wait until it was killed; anything else is a failure, told with its log."""
        ended = await asyncio.wait_for(process.wait(), seconds)
        log = (self.folder / "process.log").read_text()
        assert ended == -9, f"ended with {ended}: {log[-2000:]}"


@asynccontextmanager
async def participant(
    service: Service, *, servers: SimpleNamespace, folder: Path, smtp_url: str, **more: Any
) -> AsyncIterator[Participant]:
    """A service without any loop of its own in this process, not even a relay."""
    async with standing(
        service, servers=servers, folder=folder, smtp_url=smtp_url, worker=False, **more
    ) as stand:
        stand.runtime.stop.set()
        for bell in stand.runtime.db.bells.values():
            bell.set()
        yield Participant(stand=stand, folder=folder)
