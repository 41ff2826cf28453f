"""`ccib seed` fills a running stack, or says in one sentence why not."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deploy.demo.accounts import DEMO_ACCOUNTS
from deploy.local.layout import REPOSITORY
from services.identity.credentials import password_matches
from tests.mailbox import Mailbox
from tests.seed.conftest import publish, rows


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


async def seed(stack: Path, *arguments: str) -> Said:
    """The command as an operator starts it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "seed", "--stack", str(stack), *arguments),
        cwd=REPOSITORY,
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await process.communicate()
    return Said(code=process.returncode or 0, out=out.decode(), err=err.decode())


@pytest.fixture
async def stack(
    urls: dict[str, str], servers: SimpleNamespace, mailbox: Mailbox, tmp_path: Path
) -> Path:
    """What the running stack says of itself, with as much of it as the command needs."""
    await publish(servers, urls["privacy"], mailbox, tmp_path)
    described: dict[str, Any] = {
        "gateway": "http://127.0.0.1:9",
        "postgres": urls,
        "services": dict.fromkeys(urls, ""),
        "storage": str(tmp_path / "storage"),
        "accounts": {},
    }
    path = tmp_path / "stack.json"
    path.write_text(json.dumps(described))
    return path


async def test_it_fills_a_running_stack_once(stack: Path, urls: dict[str, str]) -> None:
    done = await seed(stack, "--companies", "60", "--password", "un-mot-de-passe", "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
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
    assert again.code == 0
    assert "there already" in again.out
    assert "un-mot-de-passe" in again.out

    other = await seed(stack, "--companies", "90")
    assert other.code == 1
    assert "another demo" in other.err


async def test_it_refuses_databases_with_other_people(stack: Path, urls: dict[str, str]) -> None:
    await rows(urls["directory"], "insert into data_subject (id) values (gen_random_uuid())")
    refused = await seed(stack, "--companies", "60")
    assert refused.code == 1
    assert "directory already holds people" in refused.err
    assert "password" not in json.loads(stack.with_name("first-run.json").read_text())


async def test_it_needs_a_running_stack(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    absent = await seed(path)
    assert (absent.code, absent.out) == (3, "")
    assert "no stack is running" in absent.err
    path.write_text("{}")
    assert "not the description of a stack" in (await seed(path)).err
    dead = {"gateway": "http://127.0.0.1:9", "services": {"privacy": ""}, "storage": "/x"}
    postgres = {"privacy": "postgresql://ccib@127.0.0.1:9/ccib"}
    path.write_text(json.dumps({**dead, "postgres": postgres}))
    silent = await seed(path)
    assert silent.code == 1
    assert "the demo data could not be written" in silent.err
    assert "Traceback" not in silent.err


async def test_interrupted_it_leaves_nothing_and_can_be_done_again(
    stack: Path, urls: dict[str, str]
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "seed", "--stack", str(stack), "--companies", "20000"),
        cwd=REPOSITORY,
        stdout=PIPE,
        stderr=PIPE,
    )
    name = urls["directory"].rpartition("/")[2]
    for _ in range(3000):
        [[copying]] = await rows(
            urls["identity"],
            # From the first row to the commit, not only while a COPY runs: a busy machine misses that.
            "select count(*) from pg_stat_activity where datname = $1"
            " and backend_xid is not null and query not ilike 'create temp%'",
            name,
        )
        if copying:
            break
        await asyncio.sleep(0.02)
    assert copying
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 1, err
    assert "interrupted: do it again" in err.decode()
    assert "Traceback" not in err.decode()
    for url in urls.values():
        assert not await rows(url, "select from data_subject limit 1")
    done = await seed(stack, "--companies", "20", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["rows"]["directory"] > 20
