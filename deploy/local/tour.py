"""The guided tour: one data file, from which come the page, a script and the test that runs it.

`python -m deploy.local.tour [stack.json]` prints it as a script: `… | bash -e` walks it.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from deploy.local.layout import REPOSITORY, read_json

SOURCE = Path(__file__).with_name("tour.toml")

_shell = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701 - shell, not HTML


@dataclass(frozen=True)
class Step:
    """What to do, why, and the commands to copy."""

    title: str
    text: str
    commands: str


def steps(stack: Mapping[str, Any]) -> list[Step]:
    """The tour with the addresses and demo accounts of a running stack (`stack.json`)."""
    nobody = {"email": "…", "password": "…"}
    accounts = stack.get("accounts", {})
    values = {
        "gateway": stack["gateway"],
        "mail": stack.get("mail", "http://127.0.0.1:8025"),
        "buyer": accounts.get("buyer") or nobody,
        "animator": accounts.get("animator") or nobody,
    }
    return [
        Step(
            title=step["title"],
            text=step["text"].strip(),
            commands=_shell.from_string(step["commands"].strip()).render(values),
        )
        for step in tomllib.loads(SOURCE.read_text(encoding="utf-8"))["step"]
    ]


def script(stack: Mapping[str, Any]) -> str:
    """The whole tour for `bash -e`, each step announced."""
    parts = ["set -euo pipefail"]
    for number, step in enumerate(steps(stack), start=1):
        title = step.title.replace("'", "’")
        parts.append(f"printf '\\n== %s. %s\\n' {number} '{title}' >&2\n{step.commands}")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    described = Path(sys.argv[1]) if sys.argv[1:] else REPOSITORY / ".local" / "stack.json"
    if not described.exists():
        sys.exit(f"{described} does not exist: start the platform first (make run)")
    sys.stdout.write(script(read_json(described)))
