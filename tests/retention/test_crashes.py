"""Workers that die or run twice at once: every warning is asked for once, every erasure, too."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from chassis import clock
from contracts.privacy import RetentionWarningDue
from services.privacy.models.deadlines import day_of
from tests import forks
from tests.privacy.conftest import Members, privacy_standing
from tests.retention.test_breaker import LONG_AGO, accounts
from tests.retention.years import RULE, Years


@pytest.fixture
async def years_alone(
    servers: SimpleNamespace, members: Members, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Years]:
    """A privacy without a worker, in the real present: workers are processes of their own."""
    folder = tmp_path_factory.mktemp("retention")
    async with privacy_standing(servers, members, folder=folder, worker=False) as stand:
        yield Years(stand=stand)


@asynccontextmanager
async def worker(years: Years, *, crash_at: str = "") -> AsyncIterator[forks.Process]:
    settings = years.stand.settings.model_dump(exclude_none=True)
    process = await forks.start(
        "services.privacy.worker",
        env={
            **{f"CCIB_{name.upper()}": str(value) for name, value in settings.items()},
            "CCIB_CRASH_AT": crash_at,
            "PATH": os.environ["PATH"],
        },
        log=Path(os.devnull),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 20)


@pytest.mark.long
@pytest.mark.timeout(240)  # several processes start
async def test_two_workers_after_one_that_was_killed_do_everything_once(
    years_alone: Years,
) -> None:
    years, today = years_alone, day_of(clock.now())
    yesterday = today - timedelta(days=1)
    await accounts(years, 520, opened_on=LONG_AGO.replace(year=today.year - 2))
    gone = {"warnings": 2, "until": yesterday}
    await accounts(years, 510, opened_on=LONG_AGO.replace(year=today.year - 2), **gone)
    await years.stand.rows(
        "INSERT INTO memberships_heard (service, until) VALUES ('directory', $1)", clock.now()
    )
    started = await years.call("POST", "retention/runs", json={"rule": RULE})
    run = started.json()
    assert (run["due_warnings"], run["due_erasures"]) == (520, 510)
    assert (await years.confirm(run)).status_code == 202

    async with worker(years, crash_at="privacy.after_retention_batch:2") as process:
        await asyncio.wait_for(process.wait(), 60)
        assert process.returncode == -signal.SIGKILL
    async with AsyncExitStack() as both:
        for _ in range(2):
            await both.enter_async_context(worker(years))
        done = await years.finished(run)
    assert (done["warned"], done["erased"]) == (520, 510)

    await years.stand.eventually("SELECT count(*) = 0 FROM outbox")
    for _ in range(500):
        warned = Counter(
            envelope["data"]["person_id"]
            for envelope in years.stand.heard
            if envelope["type"] == RetentionWarningDue.event_type()
        )
        if len(warned) == 520:
            break
        await asyncio.sleep(0.02)
    ids = Counter(
        envelope["id"]
        for envelope in years.stand.heard
        if envelope["type"] == RetentionWarningDue.event_type()
    )
    assert len(warned) == len(ids) == 520  # the bus may repeat a message, never invent one
    [erasures] = await years.stand.rows(
        "SELECT count(*) AS all, count(DISTINCT subject_id) AS people FROM erasure"
    )
    assert (erasures["all"], erasures["people"]) == (510, 510)
