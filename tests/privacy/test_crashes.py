"""A worker that dies at any moment: the next one finishes, once, in one position."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from contracts.privacy import Erase, ErasureCompleted
from tests import forks
from tests.privacy.conftest import OTHERS, Members, privacy_standing
from tests.privacy.troupe import ask, completed, playing
from tests.stand import Stand

POINTS = [
    "inbox.after_commit_before_ack",
    "privacy.after_reserve",
    "privacy.after_ledger_copy",
    "privacy.after_send",
    "privacy.after_complete",
    "privacy.after_mail",
]
"""In the order in which an erasure passes them."""


@dataclass(kw_only=True)
class Wings:
    """A privacy whose worker is a process that a test starts."""

    stand: Stand
    folder: Path

    @asynccontextmanager
    async def worker(self, *, crash_at: str = "") -> AsyncIterator[forks.Process]:
        """A real worker; what it logs goes to `log`."""
        settings = self.stand.settings.model_dump()
        self.log.unlink(missing_ok=True)
        process = await forks.start(
            "services.privacy.worker",
            env={
                **{f"CCIB_{name.upper()}": str(value) for name, value in settings.items()},
                "CCIB_CRASH_AT": crash_at,
                "PATH": os.environ["PATH"],
            },
            log=self.log,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.wait(), 20)

    @property
    def log(self) -> Path:
        return self.folder / "worker.log"

    def logged(self, event: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]


@pytest.fixture(scope="module")
async def wings(
    servers: SimpleNamespace, members: Members, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Wings]:
    folder = tmp_path_factory.mktemp("wings")
    async with AsyncExitStack() as stack:
        stand = await stack.enter_async_context(
            privacy_standing(servers, members, folder=folder, worker=False)
        )
        wings = Wings(stand=stand, folder=folder)
        async with wings.worker():
            await stack.enter_async_context(playing(stand, OTHERS))
        yield wings


def told(stand: Stand, erasure_id: UUID) -> set[tuple[int, str]]:
    """The positions and hashes under which the services were told about this erasure."""
    commands = [e["data"] for e in stand.heard if e["type"] == Erase.event_type()]
    return {
        (command["position"], command["entry_hash"])
        for command in commands
        if str(erasure_id) in str(command["subjects"])
    }


@pytest.mark.timeout(300)
async def test_a_worker_that_is_killed_at_every_transition_leaves_one_whole_erasure(
    wings: Wings, members: Members
) -> None:
    stand = wings.stand
    person, email = await members.join()
    erasure_id = await ask(stand, person)
    for point in POINTS:
        async with wings.worker(crash_at=point) as process:
            await asyncio.wait_for(process.wait(), 30)
            assert process.returncode == -signal.SIGKILL, point
    async with wings.worker():
        await completed(stand, erasure_id)
        await stand.eventually(
            "SELECT count(*) = 0 FROM last_message WHERE erasure_id = $1", erasure_id
        )
    [(position, entry_hash)] = told(stand, erasure_id)
    copy = Path(urlsplit(stand.settings.ledger_url).path) / f"{position:012d}.json"
    assert json.loads(copy.read_bytes())["entry_hash"] == entry_hash
    [positions] = await stand.rows("SELECT count(*), max(position) FROM broadcast")
    assert positions["count"] == positions["max"] == position
    assert stand.heard_count(ErasureCompleted, erasure_id=erasure_id) == 1
    # Accepted by the mail server and not yet noted when the worker died: sent once more.
    assert len(members.post.to(email)) == 2
