"""Private PostgreSQL and RabbitMQ out of the binaries on the machine, never the system's own.

What they have in common; each by itself is in `private_postgres.py` and `private_rabbitmq.py`. Both
listen on 127.0.0.1 only, keep everything in one folder, and run as an ordinary user when root starts
them (both refuse root, or should).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.local import processes
from deploy.local.errors import ServerFailed

START_SECONDS = 90.0


@dataclass(kw_only=True)
class PrivateServer:
    """One server of ours. Its ports and data outlive `kill()`, so that `start()` brings it back."""

    name: str
    log: Path
    stop_signal: signal.Signals
    launch: Callable[[], subprocess.Popen[bytes]]
    answers: Callable[[], bool]
    helpers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start without waiting."""
        self.process = self.launch()

    def wait(self) -> None:
        """Wait until it answers; raises ServerFailed with the end of its log."""
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if not self.alive:
                raise ServerFailed(f"{self.name} stopped while starting:\n{self._log()}")
            if time.monotonic() > deadline:
                raise ServerFailed(
                    f"{self.name} did not answer within {START_SECONDS:.0f} s:\n{self._log()}"
                )
            time.sleep(0.1)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """Its process, and the number of its process group."""
        if self.process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self.process.pid

    def kill(self) -> None:
        """SIGKILL, to the whole group, as a power cut would."""
        if self.process:
            processes.kill(self.process)

    def ask_to_stop(self) -> None:
        """Send the stop signal without waiting."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)

    def stop(self) -> None:
        """Stop in good order, then what it needed."""
        if self.process:
            processes.stop([self.process], how=self.stop_signal, grace=30)
            processes.kill(self.process)  # what a killed node may have left of its group
        processes.stop(self.helpers)
        for helper in self.helpers:
            processes.kill(helper)  # what a shell has left

    def _log(self) -> str:
        return f"{processes.tail(self.log)}\n(whole log: {self.log})"


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine from synchronous code, also where a loop is already running."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def place(directory: Path) -> Path:
    """Where the servers' data lie: `directory/servers`, owned by the user who runs them.

    When root owns the checkout under a folder that others cannot enter (`/root/…`), an
    unprivileged server could not reach its data there: `servers` then is a link to a folder of
    `/var/tmp` (which survives reboots) named after `directory`.
    """
    wanted = directory / "servers"
    if wanted.is_symlink() or not must_drop():
        target = wanted.resolve()
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        if must_drop():
            own(target)
        return target
    wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
    own(wanted)
    if _reachable(wanted):
        return wanted
    wanted.rmdir()
    digest = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:16]
    elsewhere = Path("/var/tmp") / f"ccib-{digest}"  # noqa: S108 - made by root, for one user
    if elsewhere.is_symlink() or elsewhere.exists():
        # Nothing links to it any more (the folder was removed by hand): stale, and perhaps not
        # ours. Root may remove it; nobody else can have put a link in its place unnoticed.
        elsewhere.unlink() if elsewhere.is_symlink() else shutil.rmtree(elsewhere)
    elsewhere.mkdir(mode=0o700)
    own(elsewhere)
    wanted.symlink_to(elsewhere)
    return elsewhere


def password(folder: Path, name: str) -> str:
    """A random password, made once and kept beside the data it opens."""
    path = folder / "passwords.json"
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    if name not in known:
        known[name] = secrets.token_urlsafe(18)
        path.touch(mode=0o600)
        path.write_text(json.dumps(known))
    return known[name]


def environment() -> dict[str, str]:
    """Nothing of the caller's environment may change a server (PGDATA, RABBITMQ_…, LC_…)."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}


def must_drop() -> bool:
    """Whether we are root, as whom the servers would not start."""
    return os.geteuid() == 0


def own(path: Path) -> None:
    """Give a file or folder to the user who runs the servers."""
    os.chown(path, processes.UNPRIVILEGED, processes.UNPRIVILEGED)


def _reachable(path: Path) -> bool:
    """Whether the unprivileged user can write there."""
    command = ["setpriv", *processes.drop_rights(), "test", "-w", str(path)]
    return subprocess.run(command, check=False).returncode == 0
