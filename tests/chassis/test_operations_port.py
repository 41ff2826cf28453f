"""Probes, metrics and an orderly end, of real processes."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import asyncpg
import httpx2
import pytest

from chassis.ids import new_id
from contracts.directory import CompanyUnlisted
from deploy.local.layout import REPOSITORY
from deploy.local.processes import free_ports
from services.consultations.wiring import SERVICE
from tests.stand import Stand, standing


@dataclass(kw_only=True)
class Observed:
    """A process, and what its operations port says."""

    process: asyncio.subprocess.Process
    http: httpx2.AsyncClient
    application: str = ""

    async def says(self, path: str) -> tuple[int, str]:
        answer = await self.http.get(path)
        return answer.status_code, answer.text.strip()

    async def becomes(self, path: str, said: tuple[int, str]) -> None:
        last = None
        for _ in range(600):
            try:
                last = await self.says(path)
            except httpx2.HTTPError as error:
                last = error
            if last == said:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{path} did not become {said}: {last}")


@pytest.fixture(scope="module")
async def stand(
    servers: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stand]:
    """Its database and queues; the processes of this file do the work."""
    folder = tmp_path_factory.mktemp("operations")
    async with standing(
        SERVICE, servers=servers, folder=folder, smtp_url="smtp://127.0.0.1:9", worker=False
    ) as running:
        yield running


@asynccontextmanager
async def running(
    stand: Stand, tmp_path: Path, module: str, *arguments: str, **environment: str
) -> AsyncIterator[Observed]:
    port, own = free_ports(2)
    told = {
        f"CCIB_{name.upper()}": str(value)
        for name, value in stand.settings.model_dump(exclude_none=True).items()
    }
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *(argument.replace("PORT", str(port)) for argument in arguments),
            env={
                "PATH": os.environ["PATH"],
                **told,
                "CCIB_OPERATIONS_PORT": str(own),
                **environment,
            },
            cwd=REPOSITORY,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{own}", timeout=20) as http:
        try:
            yield Observed(process=process, http=http, application=f"http://127.0.0.1:{port}")
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


UVICORN = ("--factory", "services.consultations.main:create_app", "--port", "PORT")


@asynccontextmanager
async def locked(stand: Stand, table: str) -> AsyncIterator[asyncpg.Connection]:
    """Whoever uses the table waits until the block, or its transaction, ends."""
    connection = await asyncpg.connect(stand.settings.database_url)
    try:
        await connection.execute(f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield connection
    finally:
        await connection.close()


async def waited_for(stand: Stand, words: str) -> None:
    await stand.eventually(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1",
        f"%{words}%",
    )


async def test_an_api_told_to_end_says_so_and_answers_what_it_holds(
    stand: Stand, tmp_path: Path
) -> None:
    options = ("--timeout-graceful-shutdown", "20")
    async with running(
        stand, tmp_path, "uvicorn", *UVICORN, *options, CCIB_RUN_WORKER="false"
    ) as api:
        await api.becomes("/health/ready", (200, "yes"))
        assert await api.says("/health/started") == (200, "yes")
        assert "process_start_time_seconds" in (await api.says("/metrics"))[1]
        assert (await api.says("/elsewhere"))[0] == 404
        async with httpx2.AsyncClient(base_url=api.application, timeout=20) as http:
            assert (await http.get("/metrics")).status_code == 404
            async with locked(stand, "consultation") as lock:
                slow = asyncio.create_task(http.get("/api/consultations/consultations"))
                await waited_for(stand, "FROM consultation")
                api.process.terminate()
                await api.becomes("/health/ready", (503, "stopping"))
                assert await api.says("/health/live") == (200, "yes")
                assert not slow.done()
                await lock.execute("COMMIT")
                assert (await slow).status_code == 200
        assert await asyncio.wait_for(api.process.wait(), 20) == 0


async def test_a_worker_told_to_end_finishes_its_message(stand: Stand, tmp_path: Path) -> None:
    async with running(stand, tmp_path, "services.consultations.worker") as worker:
        await worker.becomes("/health/ready", (200, "yes"))
        async with locked(stand, "inbox") as lock:
            event_id = await stand.say(CompanyUnlisted(company_id=new_id()))
            await waited_for(stand, "INSERT INTO inbox")
            worker.process.terminate()
            await worker.becomes("/health/ready", (503, "stopping"))
            assert await worker.says("/health/live") == (200, "yes")
            await lock.execute("COMMIT")
        assert await asyncio.wait_for(worker.process.wait(), 20) == 0
        assert await stand.rows("SELECT 1 FROM inbox WHERE event_id = $1", event_id)


async def test_without_a_broker_both_are_ready_and_alive(stand: Stand, tmp_path: Path) -> None:
    """Nobody is killed, and no API refuses what its outbox can keep."""
    nobody = {"CCIB_AMQP_URL": "amqp://nobody:nothing@127.0.0.1:9/"}
    async with (
        running(stand, tmp_path, "services.consultations.worker", **nobody) as worker,
        running(stand, tmp_path, "uvicorn", *UVICORN, **nobody) as api,
    ):
        for one in (worker, api):
            await one.becomes("/health/ready", (200, "yes"))
            assert await one.says("/health/live") == (200, "yes")
            assert await one.says("/health/started") == (200, "yes")


async def test_a_taken_operations_port_is_a_reason_not_to_start(
    stand: Stand, tmp_path: Path
) -> None:
    taken = stand.settings.amqp_url.rpartition(":")[2].partition("/")[0]
    async with running(
        stand, tmp_path, "services.consultations.worker", CCIB_OPERATIONS_PORT=taken
    ) as worker:
        assert await asyncio.wait_for(worker.process.wait(), 20) == 1
    assert "Address already in use" in (tmp_path / "log").read_text()
