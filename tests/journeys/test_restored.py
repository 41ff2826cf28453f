"""Last night's databases are put back under the running platform, and nobody does anything else."""

import asyncio
import json
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import httpx2

from deploy.local.layout import REPOSITORY
from tests.journeys import people
from tests.journeys.stack import Stack, eventually
from tests.restore import world


def at_the_server(stack: Stack, service: str) -> Any:
    """A service's database, for the server's administrator."""
    url = stack.described["postgres"][service]
    known = json.loads((stack.layout.root / "servers" / "passwords.json").read_text())
    place = urlsplit(url)
    admin_url = (
        f"postgresql://postgres:{known['postgres']}@{place.hostname}:{place.port}{place.path}"
    )
    return SimpleNamespace(admin_url=admin_url, settings=SimpleNamespace(database_url=admin_url))


def ccib(stack: Stack, *command: str) -> tuple[int, Any]:
    """The exit code and the JSON of a command, run as operators do."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "cli.main",
            *command,
            "--json",
            "--stack",
            str(stack.layout.description),
            "--trust",
            str(stack.layout.trust),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
    )
    assert done.stdout, done.stderr.decode()
    return done.returncode, json.loads(done.stdout)


class Caller(threading.Thread):
    """Asks for somebody's pages without pause."""

    def __init__(self, person: people.Person) -> None:
        super().__init__()
        self.person = person
        self.done = threading.Event()
        self.answers: dict[int, int] = {}
        self.shown: list[str] = []

    def run(self) -> None:
        with httpx2.Client(base_url=self.person.stack.described["gateway"], timeout=20) as client:
            while not self.done.is_set():
                for path in ("identity/me", "directory/me/profile", "notifications/me/inbox"):
                    answer = client.get(f"/api/{path}", headers=self.person.headers)
                    code = answer.status_code
                    self.answers[code] = self.answers.get(code, 0) + 1
                    if code == 200:
                        self.shown.append(answer.text)


def test_databases_of_last_night_forget_again_by_themselves_before_they_serve_anybody(
    stack: Stack,
) -> None:
    person = people.a_member(stack)
    people.tells_about_themself(person)
    servers = [at_the_server(stack, service) for service in stack.described["postgres"]]

    async def last_night() -> list[str]:
        return [await world.back_up(server) for server in servers]

    async def put_back(backups: list[str]) -> None:
        await asyncio.gather(*map(world.restore, servers, backups))

    backups = asyncio.run(last_night())
    farewell = person.delete_account()
    farewell.completed(seconds=60)
    code, checked = ccib(stack, "restore-check")
    assert code == 0, checked
    caller = Caller(person)
    caller.start()
    try:
        asyncio.run(put_back(backups))
        eventually(
            lambda: all(
                httpx2.get(f"{url}/health/ready", timeout=5).status_code == 200
                for url in stack.described["services"].values()
            ),
            "all services are ready again",
            seconds=60,
        )
        again = farewell.completed(seconds=60)
    finally:
        caller.done.set()
        caller.join()
    assert not caller.shown
    assert caller.answers.get(401, 0) > 0
    assert {step["outcome"] for step in again["steps"]} <= {
        "erased",
        "nothing_held",
        "kept_under_hold",
    }
    for service in stack.described["postgres"]:
        dump = stack.dump(service)
        assert not [what for what, text in person.typed.items() if text in dump], service
    assert farewell.certificate()["certificate"]["erasure_id"] == farewell.erasure_id
    code, checked = ccib(stack, "restore-check")
    assert (code, {one["verdict"] for one in checked["services"]}) == (0, {"complete"})
    code, verified = ccib(stack, "verify-ledger")
    assert (code, verified["valid"]) == (0, True), verified
