"""What only the first run does: demo data, demo accounts, a demo partner system.

Everything goes through the doors of the running services, as people and operators would. What
came of it is kept in `.local/first-run.json`; without that file a run is the first one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.local.errors import StackError
from deploy.local.layout import REPOSITORY, Layout, read_json, write_json

SEED_SECONDS = 300.0


class SeedFailed(StackError):
    """The demo data were refused."""

    exit_code = 19


@dataclass(frozen=True, kw_only=True)
class FirstRun:
    """What later runs need to know."""

    accounts: dict[str, dict[str, str]] = field(default_factory=dict)
    """E-mail and password by role; demo only."""
    partner_url: str = ""
    """The demo partner's own broker user; empty without a partner."""
    partner_queue: str = ""


def ensure(
    *, layout: Layout, description: Mapping[str, Any], say: Callable[[str], None]
) -> FirstRun:
    """Do it once; afterwards read what came of it. Raises SeedFailed."""
    if not layout.first_run.exists():
        draft = layout.state / "stack.json"
        write_json(draft, description)
        outcome = seed(layout=layout, stack=draft, say=say)
        draft.unlink()
        if outcome:
            write_json(layout.first_run, outcome)
    known = read_json(layout.first_run)
    partner = known.get("partner", {})
    return FirstRun(
        accounts=known.get("accounts", {}),
        partner_url=partner.get("amqp_url", ""),
        partner_queue=partner.get("queue", ""),
    )


def seed(*, layout: Layout, stack: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Run `ccib seed` against the stack described in a file; returns what it left.

    The command writes `{"accounts": {role: {email, password}}, "partner": {amqp_url, queue}}`
    to the file named by CCIB_SEED_RESULT.
    """
    result = layout.state / "seed.json"
    result.unlink(missing_ok=True)
    command = [str(Path(sys.executable).with_name("ccib")), "seed"]
    if subprocess.run([*command, "--help"], capture_output=True, check=False).returncode:
        return {}
    say("first run: making demo data")
    done = subprocess.run(
        [*command, "--stack", str(stack)],
        cwd=REPOSITORY,
        env=os.environ | {"CCIB_SEED_RESULT": str(result)},
        capture_output=True,
        text=True,
        timeout=SEED_SECONDS,
        check=False,
    )
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()[-12:]
        raise SeedFailed("the demo data were refused:\n" + "\n".join(lines))
    return read_json(result)
