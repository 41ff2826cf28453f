"""`ccib seed` fills a running stack, or says in one sentence why not."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from deploy.local.first_run import DEMO_ACCOUNTS
from services.identity.credentials import password_matches
from services.privacy.wiring import SERVICE as PRIVACY
from tests.mailbox import Mailbox
from tests.seed.conftest import rows
from tests.stand import served, standing


async def seed(stack: Path, *arguments: str) -> Result:
    """In a thread, as the command runs a loop of its own."""
    return await asyncio.to_thread(
        CliRunner().invoke, app, ["seed", "--stack", str(stack), *arguments]
    )


@pytest.fixture
async def stack(
    urls: dict[str, str], servers: SimpleNamespace, mailbox: Mailbox, tmp_path: Path
) -> AsyncIterator[Path]:
    """What the running stack says of itself, with as much of it as the command needs."""
    async with (
        standing(
            PRIVACY, servers=servers, folder=tmp_path, smtp_url=mailbox.url, worker=False
        ) as privacy,
        served(privacy.app) as gateway,
    ):
        described: dict[str, Any] = {
            "gateway": gateway,
            "postgres": urls,
            "services": dict.fromkeys(urls, gateway),
            "storage": str(tmp_path / "storage"),
            "accounts": {},
        }
        path = tmp_path / "stack.json"
        path.write_text(json.dumps(described))
        yield path


async def test_it_fills_a_running_stack_once(stack: Path, urls: dict[str, str]) -> None:
    done = await seed(stack, "--companies", "60", "--password", "un-mot-de-passe", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["rows"].keys() == urls.keys()
    assert {role: it["email"] for role, it in said["accounts"].items()} == DEMO_ACCOUNTS
    assert json.loads(stack.read_text())["accounts"] == said["accounts"]
    # The next `make run` finds the demo, and does not make another one.
    first_run = stack.with_name("first-run.json")
    assert json.loads(first_run.read_text())["accounts"] == said["accounts"]
    assert first_run.stat().st_mode & 0o077 == 0
    ((hashed,),) = await rows(
        urls["identity"], "select password_hash from account where email = 'dpo@demo.example'"
    )
    assert await password_matches("un-mot-de-passe", hashed)
    assert list((stack.parent / "storage" / "directory" / "photos").iterdir())
    agreed = await rows(urls["privacy"], "select distinct notice_version from consent")
    assert [version for (version,) in agreed] == ["2026-11"]

    again = await seed(stack, "--companies", "60", "--password", "autre chose")
    assert again.exit_code == 0
    assert "there already" in again.stdout
    assert "un-mot-de-passe" in again.stdout

    other = await seed(stack, "--companies", "90")
    assert other.exit_code == 1
    assert "another demo" in other.stderr


async def test_it_refuses_databases_with_other_people(stack: Path, urls: dict[str, str]) -> None:
    await rows(urls["directory"], "insert into data_subject (id) values (gen_random_uuid())")
    refused = await seed(stack, "--companies", "60")
    assert refused.exit_code == 1
    assert "directory already holds people" in refused.stderr
    assert "password" not in json.loads(stack.with_name("first-run.json").read_text())


async def test_it_needs_a_running_stack(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    absent = await seed(path)
    assert (absent.exit_code, absent.stdout) == (1, "")
    assert "no stack is running" in absent.stderr
    path.write_text("{}")
    assert "not the description of a stack" in (await seed(path)).stderr
    dead = {"gateway": "http://127.0.0.1:9", "services": {"privacy": ""}, "storage": "/x"}
    path.write_text(json.dumps({**dead, "postgres": {}}))
    silent = await seed(path)
    assert silent.exit_code == 1
    assert "the stack does not answer" in silent.stderr
