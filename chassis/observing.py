"""The operations port: three probes and the metrics, beside the application and on its loop.

Three probes, three meanings. Live: the loop turns; nothing else is asked, so that nobody kills a process
for what its neighbours do. Ready: it should get traffic. Started: its first beginning is behind it.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from types import FrameType
from typing import Any, Protocol

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

STARTING, STOPPING = "starting", "stopping"
_GRACE_S = 1
"""For a scrape that is under way when the process ends."""


class Told(Protocol):
    """The settings of the port; no port, none is opened."""

    @property
    def operations_host(self) -> str: ...
    @property
    def operations_port(self) -> int | None: ...


async def _starting() -> str | None:
    return STARTING


@dataclass(kw_only=True)
class Condition:
    """What the probes ask of a process: a reason against, or None."""

    not_ready: Callable[[], Awaitable[str | None]] = _starting
    not_started: Callable[[], str | None] = lambda: STARTING
    stopping: bool = False
    """Told to end, and finishing what it holds."""

    async def answer(self, path: str) -> Response:
        match path:
            case "/health/live":
                return _said(None)
            case "/health/ready":
                return _said(STOPPING if self.stopping else await self.not_ready())
            case "/health/started":
                return _said(self.not_started())
            case "/metrics":
                return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
        return PlainTextResponse("no such thing\n", status_code=HTTPStatus.NOT_FOUND)


def _said(reason: str | None) -> Response:
    if reason is None:
        return PlainTextResponse("yes\n")
    return PlainTextResponse(f"{reason}\n", status_code=HTTPStatus.SERVICE_UNAVAILABLE)


class _Server(uvicorn.Server):
    """One that leaves signals to the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def operations_port(told: Told) -> AsyncIterator[Condition]:
    """Serve the probes and metrics until the block ends; yields what the probes look at.

    Raises `OSError` when the port is taken: better not to start than to be blind.
    """
    condition = Condition()
    if told.operations_port is None:
        yield condition
        return

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await (await condition.answer(scope["path"]))(scope, receive, send)

    family = socket.AF_INET6 if ":" in told.operations_host else socket.AF_INET
    listener = socket.create_server((told.operations_host, told.operations_port), family=family)
    config: dict[str, Any] = {
        "lifespan": "off",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": _GRACE_S,
    }
    server = _Server(uvicorn.Config(application, **config))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield condition  # the socket listens already: who asks now is answered in a moment
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await serving


@contextmanager
def noticing_the_end(condition: Condition) -> Iterator[None]:
    """Say `stopping` from SIGTERM on, while the HTTP server finishes the requests it holds.

    The server hears it as an interrupt: after the same orderly end it exits with 0, where after
    SIGTERM it would let itself be killed by the signal.
    """
    before = signal.getsignal(signal.SIGTERM)

    def notice(_: int, frame: FrameType | None) -> None:
        again, condition.stopping = condition.stopping, True
        if callable(before) and not again:  # a second interrupt would cut off what is under way
            before(signal.SIGINT, frame)

    signal.signal(signal.SIGTERM, notice)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is notice:
            signal.signal(signal.SIGTERM, before)
