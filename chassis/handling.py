"""Running one handler, for the consumer and for the retries alike, and judging how it failed."""

import asyncio
from collections.abc import Mapping, Sequence

from prometheus_client import Counter, Histogram
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import inbox_rows, tracing
from chassis.bus import Backoff, wait_any
from chassis.db import Database, subject_is_erased
from chassis.errors import ProblemError, SubjectErasedError
from chassis.inbox_rows import Arrival, State, Together

BELL = "inbox"
"""The bell of `Database.bells` that wakes the retries of this process."""

HANDLER_S = 30
"""A handler that takes longer has failed."""
IN_A_ROW = 10
"""So many failures one after the other are an outage, not bad events: one probe at a time then."""

_events = Counter("inbox_events_total", "Events by what became of them", ["service", "state"])
_late = Counter("late_events_refused", "Events about erased people, not applied", ["service"])
_duration = Histogram(
    "ccib_inbox_handler_duration_seconds",
    "One run of a handler, failed ones too; several events that it takes together are one run",
    ["service", "type"],
    buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 30),
)


class Streak:
    """Failures one after the other, so that an outage does not empty a queue into dead letters."""

    def __init__(self) -> None:
        self._length = 0
        self._backoff = Backoff(first=1.0, longest=30.0)

    @property
    def probing(self) -> bool:
        return self._length >= IN_A_ROW

    def failed(self) -> None:
        self._length += 1

    def worked(self) -> None:
        self._length = 0
        self._backoff.reset()

    async def pause(self, *until: asyncio.Event) -> None:
        """Wait before the next probe, while probing."""
        if self.probing:
            await wait_any(*until, within=self._backoff.next())


async def handle(session: AsyncSession, arrival: Arrival, *more: Arrival) -> None:
    """Run the handler, with its writes sent to the database so that their errors are its own.

    `more`: further events for the same handler, which takes them together.
    """
    if arrival.event is None or arrival.handler is None:
        raise LookupError(arrival.delivery.type)
    kind = arrival.delivery.type
    timed = _duration.labels(session.info["service"], kind)
    with (
        timed.time(),
        tracing.span("receive", kind, parent=arrival.traceparent, messaging__type=kind),
    ):
        session.info["traceparent"] = tracing.current() or arrival.traceparent
        async with asyncio.timeout(HANDLER_S):
            await _run(session, arrival, more)
            await session.flush()


async def _run(session: AsyncSession, arrival: Arrival, more: Sequence[Arrival]) -> None:
    if arrival.handler is not None:
        if more and isinstance(arrival.handler, Together):
            await arrival.handler.many(session, [one.event for one in (arrival, *more)])
        else:
            await arrival.handler(session, arrival.event, arrival.delivery)


async def is_late(session: AsyncSession, arrival: Arrival, error: Exception) -> bool:
    """Whether the handler failed because somebody whom the event names was erased meanwhile."""
    refused = isinstance(error, DBAPIError) and subject_is_erased(error)
    if not refused and not isinstance(error, SubjectErasedError):
        return False
    # The same constraint speaks when a person's row is merely missing: that event must wait.
    erased, _ = await inbox_rows.guards(session, [arrival])
    return bool(erased)


def slug(error: Exception) -> str:
    """What may be kept of an error: its class and, if it is one of ours, its slug; no values."""
    name = type(error).__name__
    return f"{name}: {error.slug}" if isinstance(error, ProblemError) else name


def count(db: Database, counts: Mapping[State, int]) -> None:
    """Tell the metrics what became of events."""
    for state, count in counts.items():
        if count:
            _events.labels(db.service, state.value).inc(count)
    if late := counts.get(State.FENCED):
        _late.labels(db.service).inc(late)
