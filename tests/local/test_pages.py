"""The page at `/` and the tour it tells."""

import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deploy.local import tour
from deploy.local.landing import build_app
from deploy.local.layout import write_json


def a_stack() -> dict[str, Any]:
    return {
        "gateway": "http://127.0.0.1:8000",
        "mail": "http://127.0.0.1:8025",
        "accounts": {
            "member": {"email": "membre@demo.example", "password": "Un-Mot-De-Passe"},
            "buyer": {"email": "acheteur@demo.example", "password": "Un-Autre"},
        },
    }


async def visit(stack: Path, path: str = "/") -> httpx2.Response:
    transport = httpx2.ASGITransport(app=build_app(stack=stack))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as browser:
        return await browser.get(path)


async def test_the_page_shows_the_accounts_and_the_tour(tmp_path: Path) -> None:
    stack = tmp_path / "stack.json"
    write_json(stack, a_stack())
    page = (await visit(stack)).text
    assert "membre@demo.example" in page
    assert "Donneur d" in page
    assert page.count("<pre") == len(tour.steps(a_stack()))
    assert page.count("<h1") == 1
    assert "SITE=http://127.0.0.1:8000" in page


async def test_the_page_is_there_before_the_stack_is(tmp_path: Path) -> None:
    answer = await visit(tmp_path / "absent.json")
    assert answer.status_code == 200
    assert "dès que la plateforme a fini de démarrer" in answer.text


async def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    answer = await visit(tmp_path / "absent.json")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    assert "//" not in "".join(part.split('"')[0] for part in answer.text.split('src="')[1:])


async def test_a_wrong_path_is_a_page_for_people_and_a_problem_for_programs(
    tmp_path: Path,
) -> None:
    page = await visit(tmp_path / "absent.json", "/nulle-part")
    assert (page.status_code, page.headers["content-type"].split(";")[0]) == (404, "text/html")
    problem = await visit(tmp_path / "absent.json", "/api/nope")
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["type"] == "urn:ccib:problem:not-found"


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
