"""The tour, which is one file and several forms."""

import shutil
import subprocess
import tomllib
from typing import Any

import pytest

from deploy.local import tour


def a_stack() -> dict[str, Any]:
    return {
        "gateway": "http://127.0.0.1:8000",
        "mail": "http://127.0.0.1:8025",
        "accounts": {
            "member": {"email": "membre@demo.example", "password": "Un-Mot-De-Passe"},
            "buyer": {"email": "acheteur@demo.example", "password": "Un-Autre"},
        },
    }


def test_the_tour_is_valid_shell() -> None:
    shell = shutil.which("bash") or "bash"
    done = subprocess.run(
        [shell, "-n"], input=tour.script(a_stack()), text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("secret", ["Un-Mot-De-Passe", "membre@demo.example"])
def test_the_tour_uses_no_account_it_does_not_need(secret: str) -> None:
    assert secret not in tour.script(a_stack())


def test_every_step_says_what_and_why() -> None:
    steps = tomllib.loads(tour.SOURCE.read_text(encoding="utf-8"))["step"]
    assert len(steps) >= 12
    assert all(step.keys() == {"title", "text", "commands"} for step in steps)
