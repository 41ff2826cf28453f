"""Logs: one JSON object per line, static event names, ids as fields, nothing personal.

Fields that bear the name of a personal column are redacted, and an exception is told by its type and
its frames, never by its message: drivers repeat values in messages.
"""

import logging
import sys
import traceback
from collections.abc import Iterable

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from chassis import tracing

REDACTED = "[redacted]"
_ALWAYS = frozenset({"password", "token", "secret", "key", "email", "authorization", "body"})


def configure(*, service: str, personal: Iterable[str] = (), json: bool = True) -> None:
    """Send every log line of this process, libraries included, through the same processors."""
    hidden = _ALWAYS | frozenset(personal)

    def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        for name in event.keys() & hidden:
            event[name] = REDACTED
        return event

    def name_service(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        return event

    def name_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        if (trace := tracing.current()) is not None:
            event["trace_id"] = trace.split("-")[1]
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        name_trace,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_service,
        redact,
        _exception_without_values,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    renderer: Processor = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer()
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for noisy in ("uvicorn.access", "httpx2", "httpcore2", "aiormq", "aio_pika"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for own in ("uvicorn", "uvicorn.error"):
        logging.getLogger(own).handlers[:] = []
        logging.getLogger(own).propagate = True


def _exception_without_values(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    found = event.pop("exc_info", None)
    if not found:
        return event
    if isinstance(found, BaseException):
        error: BaseException | None = found
    elif isinstance(found, tuple):
        error = found[1]
    else:
        error = sys.exc_info()[1]
    if error is not None:
        event["error"] = type(error).__name__
        event["frames"] = [
            f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)[-8:]
        ]
    return event
