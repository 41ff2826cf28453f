"""Processes for tests, forked from one that has imported everything once: 0.1 s instead of 2 s.

`start` is what `python -m module` would be: a process of its own with its own environment and
arguments, that can be killed alone. It dies with whoever asked for it. The one it is forked from has
no thread and no loop, has opened nothing, and answers one owner: the process of pytest that first
called `start`.
"""

import asyncio
import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from sqlalchemy.orm import configure_mappers

from deploy.local.layout import REPOSITORY, SERVICES

_KNOWN = (
    *(f"services.{name}.{module}" for name in SERVICES for module in ("wiring", "main")),
    "tests.bus",
    "uvicorn",
)
_MOST = 1 << 18
"""Bytes of one request: a module, its arguments, its environment."""


class Process:
    """A running process, as `asyncio.subprocess` shows one."""

    def __init__(self, pid: int, stdout: asyncio.StreamReader | None) -> None:
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None
        """As Python writes it: minus the signal that killed it."""
        self._ended = asyncio.Event()
        self._line: asyncio.StreamWriter
        self._following: asyncio.Task[None]

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None, "the process that it was forked from is gone"
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            self._line.write(b"%d\n" % number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    async def _follow(self, reader: asyncio.StreamReader) -> None:
        try:
            self.returncode = int(await reader.readline())
        finally:
            self._ended.set()
            self._line.close()


async def start(
    module: str, *arguments: str, env: Mapping[str, str], log: Path | int, piped: bool = False
) -> Process:
    """Run a module as `python -m` does, in the repository, with exactly this environment.

    What it prints is appended to the `log`, a path or a descriptor; with `piped`, its standard
    output goes to `Process.stdout` instead.
    """
    request = json.dumps({"module": module, "arguments": arguments, "env": dict(env)}).encode()
    assert len(request) < _MOST
    ours, theirs = socket.socketpair()
    errors = log if isinstance(log, int) else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    reading, output = os.pipe() if piped else (None, errors)
    socket.send_fds(_origin(), [request], [theirs.fileno(), output, errors])
    theirs.close()
    for mine in {output, errors} - {log}:
        os.close(mine)
    reader, line = await asyncio.open_connection(sock=ours)
    process = Process(int(await reader.readline()), await _read(reading) if reading else None)
    process._line = line
    process._following = asyncio.create_task(process._follow(reader))
    return process


async def _read(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
    )
    return reader


_ours: socket.socket | None = None


def _origin() -> socket.socket:
    """The line to the process that forks, started when first asked for."""
    global _ours
    if _ours is None:
        _ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forks"], cwd=REPOSITORY, stdin=theirs.fileno()
        )
        theirs.close()

        def end(line: socket.socket = _ours) -> None:
            line.close()
            process.wait(10)

        atexit.register(end)
    return _ours


# --- the process that forks ---------------------------------------------------------------------


def _serve(owner: socket.socket) -> None:
    """Fork whatever is asked for, tell how it ended, pass signals on; until the owner is gone."""
    for module in _KNOWN:
        importlib.import_module(module)
    configure_mappers()  # else each child does, at its first statement
    gc.collect()
    gc.freeze()  # so that collections in a child do not copy every page
    origin, selector = os.getpid(), selectors.DefaultSelector()
    children: dict[socket.socket, tuple[int, int]] = {}
    """By the line to whoever asked: pid, and a descriptor that is readable when it has ended."""

    def fork() -> None:
        request, descriptors, _, _ = socket.recv_fds(owner, _MOST, 3)
        if not request:
            sys.exit()  # and the kernel kills the children
        line, (output, errors) = socket.socket(fileno=descriptors[0]), descriptors[1:]
        if (pid := os.fork()) == 0:
            for mine in (selector, owner, line, *children):
                mine.close()
            for _, mine in children.values():
                os.close(mine)
            _become(origin, output, errors, **json.loads(request))
        for mine in (output, errors):
            os.close(mine)
        children[line] = pid, (ended := os.pidfd_open(pid))
        line.sendall(b"%d\n" % pid)
        selector.register(ended, selectors.EVENT_READ, lambda: reap(line))
        selector.register(line, selectors.EVENT_READ, lambda: hear(line))

    def hear(line: socket.socket) -> None:
        _, ended = children[line]
        signals = line.recv(100).split()
        if not signals:  # whoever asked for it has forgotten it
            selector.unregister(line)
        for number in signals or [signal.SIGKILL]:
            signal.pidfd_send_signal(ended, int(number))

    def reap(line: socket.socket) -> None:
        pid, ended = children.pop(line)
        for registered in {line, ended} & {key.fileobj for key in selector.get_map().values()}:
            selector.unregister(registered)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(ended)
        with line:
            try:
                line.sendall(b"%d\n" % code)
            except OSError:
                pass

    selector.register(owner, selectors.EVENT_READ, fork)
    while True:
        for key, _ in selector.select():
            key.data()


def _become(
    origin: int, output: int, errors: int, *, module: str, arguments: list[str], env: dict[str, str]
) -> NoReturn:
    """Be that module from now on."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != origin:
        os._exit(1)
    for descriptor, place in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (errors, 2)):
        os.dup2(descriptor, place)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(env)
    code = 1
    try:
        from chassis import crash

        crash.arm(env.get(crash.VARIABLE, ""))
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - told where its owner looks
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its owner decides, also about Ctrl-C
    _serve(socket.socket(fileno=0))
