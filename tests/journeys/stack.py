"""The whole platform as `make run` starts it, on ports and in a folder of its own."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import asyncpg
import httpx2
import psutil

from deploy.local import backing, private_postgres, processes
from deploy.local.layout import REPOSITORY, Layout
from tests.collector import Collector, collecting

T = TypeVar("T")

# Servers that the caller may have given belong to others: here they are killed and searched.
_NOT_INHERITED = ("CCIB_POSTGRES", "CCIB_AMQP", "CCIB_RABBITMQ", "CCIB_CRASH")


@dataclass
class Stack:
    """A running platform, seen from outside."""

    layout: Layout
    http: httpx2.Client
    """At the gateway."""
    described: dict[str, Any] = field(default_factory=dict)
    traces: Collector = field(default_factory=Collector)
    """What the platform says to its collector of traces: everything, here."""

    @property
    def description(self) -> dict[str, Any]:
        """What `stack.json` says now: pids change when a process is replaced."""
        described: dict[str, Any] = json.loads(self.layout.description.read_text())
        return described

    def account(self, role: str) -> dict[str, str]:
        found: dict[str, str] = self.described["accounts"][role]
        return found

    def pid(self, name: str) -> int:
        return int(self.description["pids"][name][0])

    def replaced(self, name: str, pid: int) -> bool:
        """Whether another process does the work of one that was killed."""
        return self.pid(name) != pid and psutil.pid_exists(self.pid(name))

    def mails(self, address: str, *, count: int = 1) -> list[dict[str, Any]]:
        """The mails to an address, newest last, once there are so many."""

        def arrived() -> list[dict[str, Any]] | None:
            listed = httpx2.get(f"{self.described['mail']}/messages").json()
            found = [one for one in listed if address in str(one["to"])]
            return (
                sorted(found, key=lambda one: one["received_at"]) if len(found) >= count else None
            )

        found = eventually(arrived, f"{count} mails to {address}")
        return [
            httpx2.get(f"{self.described['mail']}/messages/{one['id']}").json() for one in found
        ]

    def token_mailed_to(self, address: str, *, count: int = 1) -> str:
        mail = self.mails(address, count=count)[-1]
        found = re.search(r"token=([\w.-]+)", mail["text"])
        assert found, mail["text"]
        return found.group(1)

    def value(self, service: str, statement: str, *values: Any) -> Any:
        """One value from a service's database, as its owner: a service may not spoil it."""

        async def ask() -> Any:
            connection = await asyncpg.connect(self.described["owners"][service])
            try:
                return await connection.fetchval(statement, *values)
            finally:
                await connection.close()

        return asyncio.run(ask())

    def dump(self, service: str) -> str:
        """The database of a service as `pg_dump` writes it."""
        folder = private_postgres.binaries()
        command = [str(folder / "pg_dump") if folder else "pg_dump", "--inserts"]
        done = subprocess.run(
            [*command, self.described["postgres"][service]], capture_output=True, check=True
        )
        return done.stdout.decode()

    def queued(self) -> str:
        """Every message in every queue, left where it is.

        A queue with a single active consumer lets nobody look: that one must be empty.
        """
        vhost = quote(urlsplit(self.described["amqp"]).path[1:], safe="")
        found = []
        with httpx2.Client(base_url=self.described["management"], timeout=30) as client:
            for queue in client.get(f"/api/queues/{vhost}").json():
                path = f"/api/queues/{vhost}/{quote(queue['name'], safe='')}"
                if queue["arguments"].get("x-single-active-consumer"):
                    eventually(
                        lambda path=path: client.get(path).json().get("messages") == 0,
                        f"{queue['name']} is empty",
                    )
                    continue
                answer = client.post(
                    f"{path}/get",
                    json={"count": 10_000, "ackmode": "ack_requeue_true", "encoding": "auto"},
                )
                assert answer.status_code == 200, answer.text
                found += [f"{queue['name']}: {message['payload']}" for message in answer.json()]
        return "\n".join(found)

    def files(self, *folders: str) -> dict[Path, bytes]:
        """The content of every file below these folders of the stack."""
        found = {}
        for folder in folders:
            for path in (self.layout.root / folder).resolve().rglob("*"):
                if path.is_file() and not path.is_symlink():
                    try:
                        found[path] = path.read_bytes()
                    except FileNotFoundError:  # servers tidy up behind us
                        continue
        return found


def eventually(
    condition: Callable[[], T | None], what: str, *, seconds: float = 40, pause: float = 0.05
) -> T:
    """The first value that is true; an assertion error that says what was waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(pause)
    raise AssertionError(f"not in {seconds:.0f} s: {what}")


@contextmanager
def standing(directory: Path, *, companies: int = 12) -> Iterator[Stack]:
    """Start everything, and stop it."""
    with collecting() as traces:
        yield from _standing(directory, companies=companies, traces=traces)


def _standing(directory: Path, *, companies: int, traces: Collector) -> Iterator[Stack]:
    layout = Layout(directory)
    directory.mkdir(parents=True)
    port, mail_port = processes.free_ports(2)
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)
    }
    log = directory / "run.log"
    process = processes.spawn(
        name="run",
        command=[sys.executable, "-m", "deploy.local.run", "--directory", str(directory)],
        owner=directory.parent / "journeys",
        log=log,
        environment=inherited
        | {
            "CCIB_PORT": str(port),
            "CCIB_MAIL_PORT": str(mail_port),
            "CCIB_SEED_COMPANIES": str(companies),
            "CCIB_OTLP_ENDPOINT": traces.url,
            "CCIB_OTLP_SAMPLE": "1",
        },
        folder=REPOSITORY,
    )
    try:
        for _ in range(2400):
            if layout.description.exists() or process.poll() is not None:
                break
            time.sleep(0.1)
        assert layout.description.exists(), processes.tail(log, lines=40)
        described = json.loads(layout.description.read_text())
        with httpx2.Client(base_url=described["gateway"], timeout=20) as client:
            yield Stack(layout=layout, http=client, described=described, traces=traces)
    finally:
        processes.stop([process], grace=60)
        backing.remove_data(directory)  # the logs stay, for who wants to know
