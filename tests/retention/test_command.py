"""`ccib retention`, as a process, through a real socket."""

import asyncio
import json
import sys
from datetime import date, timedelta
from typing import Any

import pytest

from chassis.auth import Role
from chassis.ids import new_id
from deploy.local.layout import REPOSITORY
from tests.privacy.troupe import dpo
from tests.retention.test_breaker import LONG_AGO, accounts
from tests.retention.years import Years
from tests.stand import served

TODAY = date(2045, 9, 4)


@pytest.fixture
async def ccib(years: Years) -> Any:
    """Run the command as the DPO, or with other headers; returns exit code, output, complaints."""
    years.go_to(TODAY)
    async with served(years.stand.app) as url:

        async def run(
            *arguments: str, headers: dict[str, str] | None = None
        ) -> tuple[int, str, str]:
            token = (headers or dpo(years.stand))["Authorization"].removeprefix("Bearer ")
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "cli.main",
                "retention",
                *arguments,
                cwd=REPOSITORY,
                env={"CCIB_URL": url, "CCIB_TOKEN": token},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            said, complained = await asyncio.wait_for(process.communicate(), 60)
            return process.returncode or 0, said.decode(), complained.decode()

        yield run


async def test_a_dry_run_by_default_and_a_real_one_when_told_so(years: Years, ccib: Any) -> None:
    await years.run(TODAY)
    await accounts(years, 12, opened_on=LONG_AGO)
    code, said, _ = await ccib("run")
    assert code == 0, said
    assert "12 + 0 warnings, 0 deletions" in said
    assert "nothing was done" in said
    code, said, _ = await ccib("run", "--really", "--json")
    assert (code, json.loads(said)["warned"]) == (0, 12)

    future = (TODAY + timedelta(days=40)).isoformat()
    code, said, _ = await ccib("plan", "--as-of", future, "--json", "--limit", "5")
    plan = json.loads(said)
    assert (code, plan["due"], len(plan["items"])) == (
        0,
        {"warnings": [12, 12], "erasures": 12},
        5,
    )
    code, said, complained = await ccib("run", "--really", "--as-of", future)
    assert (code, said) == (1, "")
    assert "ne peut pas anticiper" in complained


async def test_a_held_run_is_told_and_confirmed(years: Years, ccib: Any) -> None:
    await accounts(years, 60, opened_on=LONG_AGO)
    held = await years.run(TODAY, state="held")
    code, _, complained = await ccib("run", "--really")
    assert code == 1
    assert "suspendue" in complained
    code, said, _ = await ccib("confirm", held["id"])
    assert (code, said.strip()) == (0, "finished: 60 warnings, 0 deletions, 0 spared")
    stranger = years.stand.token(new_id(), roles=[Role.OPERATOR])
    code, _, complained = await ccib("rules", headers=stranger)
    assert code == 1
    assert "rôle" in complained
