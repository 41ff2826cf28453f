"""Child processes that never outlive their owner: how they are started, recognised and stopped.

Three nets, because none catches everything: an orderly stop, the kernel's parent-death signal
(Linux; a SIGKILL of the parent), and a mark in each child's environment by which the next run
finds leftovers. The mark cannot be stale, as the number in a pid file can.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import SystemRandom

import psutil

OWNER = "CCIB_OWNER"
"""Environment variable that names the folder a child belongs to, and the child's own name."""

UNPRIVILEGED = 65534
"""`nobody` on every Linux: the servers refuse root, and need no right of anybody's."""

TAIL_BYTES = 64 * 1024


def spawn(
    *,
    name: str,
    command: Sequence[str | Path],
    owner: Path,
    log: Path,
    environment: Mapping[str, str],
    folder: Path | None = None,
    unprivileged: bool = False,
    death_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, its output appended to `log`.

    A terminal's Ctrl-C thus reaches the parent only, which stops its children in good order.
    The parent-death signal belongs to the calling *thread*: call from one that lives as long as
    the child should.
    """
    prefix: list[str] = []
    if setpriv := shutil.which("setpriv"):
        prefix = [setpriv, "--pdeathsig", death_signal.name.removeprefix("SIG")]
        if unprivileged and os.geteuid() == 0:
            prefix += drop_rights()
        # The kernel tells nothing of a parent that died before it was asked to.
        prefix += ["sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"', str(os.getpid())]
    with log.open("ab") as output:
        return subprocess.Popen(
            [*prefix, *map(str, command)],
            cwd=folder,
            env={**environment, OWNER: mark(owner=owner, name=name)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def drop_rights() -> list[str]:
    """The options of `setpriv` that make root an ordinary user."""
    return [f"--reuid={UNPRIVILEGED}", f"--regid={UNPRIVILEGED}", "--clear-groups"]


def mark(*, owner: Path, name: str) -> str:
    return f"{owner.resolve()}#{name}"


def leftovers(*, owner: Path) -> dict[int, str]:
    """Processes of an earlier run that still live, by pid, with the name they were given."""
    prefix = mark(owner=owner, name="")
    found: dict[int, str] = {}
    for process in psutil.process_iter():
        try:
            value = process.environ().get(OWNER, "")
            if value.startswith(prefix) and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = value.removeprefix(prefix)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or somebody else's: not ours
    return found


def stop_leftovers(*, owner: Path, grace: float = 20.0) -> list[str]:
    """Stop what an earlier run, killed before it could, left behind; return the names."""
    found = leftovers(owner=owner)
    # PostgreSQL waits for its clients on SIGTERM; SIGINT is its "fast" stop.
    for pid, name in found.items():
        _send(pid, signal.SIGINT if name == "postgres" else signal.SIGTERM)
    deadline = time.monotonic() + grace
    while leftovers(owner=owner) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in leftovers(owner=owner):
        _send(pid, signal.SIGKILL)
    return sorted(set(found.values()))


def stop(
    processes: Iterable[subprocess.Popen[bytes]],
    *,
    how: signal.Signals = signal.SIGTERM,
    grace: float = 10.0,
) -> None:
    """Ask all to stop, wait for them together, kill the groups of those that did not."""
    running = [process for process in processes if process.poll() is None]
    for process in running:
        _send(process.pid, how)
    deadline = time.monotonic() + grace
    for process in running:
        try:
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL the child and all it started, as a crash would."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def free_ports(count: int, *, among: Sequence[int] = range(20_000, 32_000)) -> list[int]:
    """Free TCP ports of 127.0.0.1, below the range the kernel gives to outgoing connections.

    A server binds seconds after its port was chosen: meanwhile nobody else is given it here.
    """
    chosen: list[int] = []
    for port in SystemRandom().sample(among, min(1_000, len(among))):
        if _claimed(port) and port_is_free(port):
            chosen.append(port)
            if len(chosen) == count:
                return chosen
    raise OSError("no free TCP port on 127.0.0.1")


def _claimed(port: int) -> bool:
    """Whether the port is this process's to give: the name stands for it, and is bound only once.

    The kernel takes the name back when the process ends.
    """
    if not sys.platform.startswith("linux"):
        return True
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0ccib-port-{port}")
    except OSError:
        claim.close()
        return False
    claim.detach()
    return True


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def tail(log: Path, *, lines: int = 12) -> str:
    """The last lines of a log, for a message that explains a death."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return "(no log)"
    readable = "\n".join(map(_event, text.rstrip().splitlines()))
    return "\n".join(readable.rstrip().splitlines()[-lines:])


def _event(line: str) -> str:
    """What a line of a service's JSON log says, a stack trace with its line breaks."""
    try:
        said = json.loads(line)
    except ValueError:
        return line
    return str(said.get("event", line)) if isinstance(said, dict) else line


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
