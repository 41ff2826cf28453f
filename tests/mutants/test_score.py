"""Whatever somebody might forget, weaken or skip is noticed (E13)."""

import ast
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.mutants import plugin, score
from tests.mutants.desk import Desk
from tests.mutants.kinds import Result

SAMPLE = os.environ.get("CCIB_MUTANTS", "1")
"""How many of each kind the tests they should turn red are run with; `all` for every one."""
NOT_INSTALLED = ("evidence: ", "participant ", "service left", "queue ", "binding ", "exchange ")
NOT_INSTALLED += ("permission ", "keys ", "handler ", "constraints that sleep")
"""Nothing of ours is wrong in these: somebody else lies, or an operator's file is."""


def all_caught(found: list[Result]) -> None:
    print("\n".join(score.table(found)))
    survivors = [f"{r.mutant} (should turn red: {r.test})" for r in found if r.caught is None]
    assert not survivors, "mend the check, not the list of mutants"
    assert len({result.mutant for result in found}) == len(found), "a mutant was counted twice"


@pytest.mark.timeout(600)  # half a minute, on a machine with nothing else to do
async def test_every_mutant_is_caught(desks: dict[str, Desk]) -> None:
    found = await score.results(desks, every=20)
    all_caught(found)
    assert not {r.test for r in found if not _defined(r.test)}, "no such test"


def _defined(node: str) -> bool:
    path, _, name = node.partition("::")
    tree = ast.parse(Path(path).read_text("utf-8"))
    return any(getattr(one, "name", None) == name.partition("[")[0] for one in tree.body)


@pytest.mark.long
@pytest.mark.timeout(7200)
async def test_every_mutant_of_every_table_is_caught_and_its_test_turns_red(
    desks: dict[str, Desk], servers: SimpleNamespace
) -> None:
    found = await score.results(desks)
    all_caught(found)
    collected = _pytest(servers, "--collect-only", *{r.test.partition("::")[0] for r in found})
    known = {line.strip() for line in collected.stdout.splitlines()}
    known |= {line.partition("[")[0] for line in known}
    assert not {r.test for r in found} - known, collected.stderr
    seed = int(os.environ.get("CCIB_SEED", "7"))
    for result in _sample(found, random.Random(seed)):
        run = _pytest(servers, "-p", "tests.mutants.plugin", result.test, mutant=result)
        assert run.returncode == pytest.ExitCode.TESTS_FAILED, (
            f"{result.test} stays green with: {result.mutant}\n"
            f"replay: {plugin.ENVIRONMENT}='{json.dumps(vars(result.mutant))}'"
            f" pytest -p tests.mutants.plugin '{result.test}'\n{run.stdout[-2000:]}"
        )
        print(f"red: {result.mutant}")


def _sample(found: list[Result], chance: random.Random) -> list[Result]:
    kinds: dict[str, list[Result]] = {}
    for result in found:
        if not result.mutant.kind.startswith(NOT_INSTALLED):
            kinds.setdefault(result.mutant.kind, []).append(result)
    if SAMPLE == "all":
        return [result for some in kinds.values() for result in some]
    return [
        result
        for some in kinds.values()
        for result in chance.sample(some, min(int(SAMPLE), len(some)))
    ]


def _pytest(
    servers: SimpleNamespace, *arguments: str, mutant: Result | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "CCIB_POSTGRES_URL": servers.postgres_url,
        "CCIB_AMQP_URL": servers.amqp_url,
        "CCIB_RABBITMQ_MANAGEMENT_URL": servers.management_url,
    }
    if mutant is not None:
        environment[plugin.ENVIRONMENT] = json.dumps(vars(mutant.mutant))
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
