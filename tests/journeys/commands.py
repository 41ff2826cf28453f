"""`ccib`, as an operator starts it."""

import os
import subprocess
import sys
from dataclasses import dataclass

from deploy.local.layout import REPOSITORY
from tests.journeys.stack import Stack


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


def ccib(stack: Stack | None, *arguments: str, given: str = "", **environment: str) -> Said:
    """Run a command against a stack; `given` is what somebody types."""
    where = ["--stack", str(stack.layout.description)] if stack else []
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CCIB_")}
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments, *where],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        input=given,
        env=clean | environment,
        timeout=90,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)
