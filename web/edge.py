"""Outermost middleware: a request id, headers, one log line per request that names nobody."""

import time
from collections.abc import Awaitable, Callable, Mapping

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis import tracing
from chassis.ids import new_id
from chassis.rates import answered
from web.headers import NEVER_STORED

log = structlog.get_logger()


class Edge:
    """What breaks inside becomes the page that `unexpected` makes."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        headers: Mapping[str, str],
        unexpected: Callable[[Request], Awaitable[Response]],
    ) -> None:
        self.app = app
        self.headers = headers
        self.unexpected = unexpected

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        parent = tracing.parent_in(scope["headers"])
        with tracing.span("request", "request", parent=parent) as span:
            await self._answer(scope, receive, send, span)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, span: tracing.Span) -> None:
        request_id = str(new_id())
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started, status = time.perf_counter(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update(self.headers)
                headers["X-Request-Id"] = request_id
                headers.setdefault("Cache-Control", NEVER_STORED)
            await send(message)

        method = scope["method"]
        if method == "HEAD":  # the server leaves the body out
            scope = {**scope, "method": "GET"}
        try:
            await self.app(scope, receive, answer)
        except Exception:  # a page for people, a line for us
            log.exception("unexpected")
            if status:
                raise
            response = await self.unexpected(Request(scope))
            await response(scope, receive, answer)
        finally:
            # The template of the route, never the path: that may hold a token or an id.
            path = getattr(scope.get("route"), "path", "unmatched")
            span.ended(path, http__route=path, http__response__status_code=status)
            if not path.startswith(("/health", "/static")):
                took = time.perf_counter() - started
                answered("web", method=method, route=path, status=status, seconds=took)
                milliseconds = round(took * 1000, 1)
                log.info(
                    "request", method=method, route=path, status=status, milliseconds=milliseconds
                )
