"""Traces: from a request through the outbox and the bus to a handler and its SQL, as one.

Off unless an endpoint is set; then nothing of OpenTelemetry is imported. What leaves the process is a
closed list of attributes: no parameter of a statement, no path, no message of an exception.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import httpx2

_PARENT = re.compile(rb'"traceparent":"([0-9a-f-]{55})"')
_HEAD = 1_000
"""Bytes of a message before its data: there it says which trace it belongs to."""


class Told(Protocol):
    """The settings of tracing."""

    @property
    def otlp_endpoint(self) -> str | None: ...
    @property
    def otlp_sample(self) -> float: ...


class Tracing(Protocol):
    """What `chassis.otlp` does when it is on."""

    def span(
        self, what: str, name: str, *, parent: str | None, attributes: Mapping[str, str]
    ) -> Any: ...
    def current(self) -> str | None: ...
    def flush(self) -> None: ...


_on: list[Tracing] = []
"""One, or none."""


def begin(service: str, told: Told) -> None:
    """Trace this process from now on, if it is told where to."""
    if told.otlp_endpoint and not _on:
        from chassis.otlp import Otlp  # costs memory and a tenth of a second

        _on.append(Otlp(service, endpoint=told.otlp_endpoint, sample=told.otlp_sample))


def end() -> None:
    """Send what is left, and stop."""
    while _on:
        _on.pop().flush()


class Span:
    """What is under way; does nothing while tracing is off."""

    def __init__(self, inner: Any = None) -> None:
        self._inner = inner

    def ended(self, name: str, **attributes: str | int) -> None:
        """Name it by what became known on the way."""
        if self._inner is not None:
            self._inner.update_name(name)
            self._inner.set_attributes(
                {key.replace("__", "."): value for key, value in attributes.items()}
            )


@contextmanager
def span(what: str, name: str, *, parent: str | None, **attributes: str) -> Iterator[Span]:
    """Something under way: a `request`, a `receive` or a `send`; `parent` as in `traceparent`."""
    if not _on:
        yield Span()
        return
    with _on[0].span(what, name, parent=parent, attributes=attributes) as inner:
        yield Span(inner)


def current() -> str | None:
    """The `traceparent` of what is under way, if that is traced."""
    return _on[0].current() if _on else None


def parent_of(body: bytes) -> str | None:
    """The `traceparent` of a message, while tracing is on."""
    found = _PARENT.search(body, 0, _HEAD) if _on else None
    return found.group(1).decode() if found else None


def parent_in(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """The `traceparent` of a request, while tracing is on."""
    found = dict(headers).get(b"traceparent") if _on else None
    return found.decode("latin-1") if found else None


async def passed_on(request: httpx2.Request) -> None:
    """Hook of a client: who is asked belongs to the same trace."""
    if (now := current()) is not None:
        request.headers["traceparent"] = now
