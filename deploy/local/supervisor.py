"""Keeps the processes of the stack alive, and stops them in good order.

The kernel of a small init: a child that dies while the stack comes up is an error; one that dies
later is started again, at once the first time, then with growing pauses.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from chassis.trust import authorities
from deploy.local import processes
from deploy.local.binaries import PrivateServer
from deploy.local.errors import ChildFailed

START_SECONDS = 120.0
POLL_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
STEADY_SECONDS = 30.0
"""A child that lived so long is restarted at once again when it dies."""

Say = Callable[[str], None]


@dataclass(kw_only=True)
class Child:
    """One process of the stack and how to know that it is ready."""

    name: str
    command: Sequence[str | Path]
    environment: Mapping[str, str]
    log: Path
    ready_url: str = ""
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0
    start_again_at: float = 0.0

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def answers(self) -> bool:
        """Whether it is ready; a child without an address is once it lives."""
        if not self.ready_url:
            return self.alive
        try:
            return httpx2.get(self.ready_url, timeout=2, verify=authorities()).status_code == 200
        except httpx2.HTTPError:
            return False


@dataclass(kw_only=True)
class Supervisor:
    """The children in the order they were started, and the private servers below them."""

    owner: Path
    folder: Path
    say: Say
    servers: Sequence[PrivateServer] = ()
    steps: list[list[Child]] = field(default_factory=list)
    server_start_at: dict[str, float] = field(default_factory=dict)
    """When a server that dies may be started again."""

    @property
    def children(self) -> list[Child]:
        return [child for step in self.steps for child in step]

    def start(self, children: Iterable[Child]) -> None:
        """Start the children of one step, without waiting."""
        step: list[Child] = []
        self.steps.append(step)
        for child in children:
            child.log.unlink(missing_ok=True)
            step.append(child)
            self._launch(child)

    def wait_ready(self) -> None:
        """Wait until all answer; raises ChildFailed with the end of the log of one that died."""
        deadline = time.monotonic() + START_SECONDS
        waiting = list(self.children)
        while waiting:
            for child in waiting:
                if not child.alive:
                    raise ChildFailed(f"{child.name} stopped while starting:\n{_log(child)}")
            if time.monotonic() > deadline:
                names = ", ".join(child.name for child in waiting)
                raise ChildFailed(
                    f"not ready after {START_SECONDS:.0f} s: {names}\n{_log(waiting[0])}"
                )
            waiting = [child for child in waiting if not child.answers()]
            if waiting:
                time.sleep(POLL_SECONDS)

    def tend(self) -> bool:
        """Look once after everybody; returns whether a process was replaced."""
        replaced = False
        now = time.monotonic()
        for server in self.servers:
            if not server.alive and now >= self.server_start_at.get(server.name, 0.0):
                self.say(f"{server.name} stopped: starting it again — log: {server.log}")
                self.server_start_at[server.name] = now + LONGEST_PAUSE_SECONDS
                server.start()
                replaced = True
        for child in self.children:
            if child.alive:
                continue
            if child.process is not None:
                self._mourn(child, now)
            if now >= child.start_again_at:
                self._launch(child)
                replaced = True
        return replaced

    def stop(self) -> None:
        """Stop the children in the reverse order of their start, those of one step together."""
        for step in reversed(self.steps):
            processes.stop([child.process for child in step if child.process], grace=15)
        self.steps.clear()

    def pids(self) -> dict[str, list[int]]:
        """The process (and process group) of each, by name."""
        found = {child.name: [child.process.pid] for child in self.children if child.process}
        return found | {server.name: [server.pid] for server in self.servers}

    def _launch(self, child: Child) -> None:
        child.started_at = time.monotonic()
        child.process = processes.spawn(
            name=child.name,
            command=child.command,
            owner=self.owner,
            log=child.log,
            environment=child.environment,
            folder=self.folder,
        )

    def _mourn(self, child: Child, now: float) -> None:
        status = child.process.poll() if child.process else None
        if child.process:
            processes.kill(child.process)  # what it started and left behind
        child.process = None
        child.failures = 0 if now - child.started_at > STEADY_SECONDS else child.failures + 1
        pause = min(LONGEST_PAUSE_SECONDS, 0.5 * 2 ** (child.failures - 2))
        child.start_again_at = now + (pause if child.failures > 1 else 0.0)
        ended = f"signal {-status}" if status is not None and status < 0 else f"status {status}"
        self.say(f"{child.name} stopped ({ended}): starting it again — log: {child.log}")


def _log(child: Child) -> str:
    return f"{processes.tail(child.log)}\n(whole log: {child.log})"
