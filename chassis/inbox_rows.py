"""The rows of the inbox, written set by set as events arrive; those that wait: `chassis.waiting_rows`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import DateTime, Interval, LargeBinary, Text, Uuid

from chassis import clock
from chassis.consuming import Delivery, delivery_of
from contracts.base import Envelope, Event

E = TypeVar("E", bound=Event)
Handler = Callable[[AsyncSession, E, Delivery], Awaitable[None]]
"""What an event does; in the caller's transaction, at most once, after earlier ones of its subject."""


@dataclass(frozen=True)
class Together(Generic[E]):
    """A handler that takes several events of its type at once, in the order in which they came.

    For what comes in crowds: one statement for all instead of one for each. What it publishes bears
    the trace of the first. When it fails, the events are handled one by one.
    """

    many: Callable[[AsyncSession, Sequence[E]], Awaitable[None]]

    async def __call__(self, session: AsyncSession, event: E, _: Delivery) -> None:
        await self.many(session, [event])


Table = Mapping[str, tuple[type[Event], Handler[Any]]]
"""By CloudEvents type."""


class State(StrEnum):
    """What became of an event."""

    DONE = "done"
    FENCED = "fenced"
    """It names an erased person: recorded, without effect."""
    WAITING = "waiting"
    """It failed, or another one of its aggregate did before it."""
    DEAD = "dead"
    """It failed at every retry; an operator decides."""
    PARKED = "parked"
    """Of an unknown type or version, or against its schema; a later release may know better."""


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """An event on its way to its handler."""

    delivery: Delivery
    aggregate: str
    body: bytes
    traceparent: str | None
    event: Event | None
    handler: Handler[Any] | None
    people: frozenset[UUID]
    reason: str | None
    """Why it can only be parked."""
    attempts: int = 0
    """How often it was tried, the present attempt included."""

    @property
    def event_id(self) -> UUID:
        return self.delivery.event_id


def table_of(handlers: Mapping[type[Event], Handler[Any]]) -> Table:
    """The handlers by the type that messages bear."""
    return {event.event_type(): (event, handler) for event, handler in handlers.items()}


def arrival_of(
    envelope: Envelope,
    *,
    body: bytes,
    sender: str | None,
    redelivered: bool,
    table: Table,
    attempts: int = 0,
) -> Arrival:
    """What to do with a CloudEvent, as far as its type and its data tell."""
    event: Event | None = None
    kind, handler = table.get(envelope.type, (None, None))
    reason = None if kind else "unknown-type"
    if kind:
        try:
            event = kind.model_validate(envelope.data)
        except ValidationError:
            reason = "against-schema"
    return Arrival(
        delivery=delivery_of(envelope, sender=sender, redelivered=redelivered),
        aggregate=envelope.subject,
        body=body,
        traceparent=envelope.traceparent,
        event=event,
        handler=handler,
        people=frozenset(event.people()) if event else frozenset(),
        reason=reason,
        attempts=attempts,
    )


def bound(statement: str, **types: Any) -> Any:
    """A statement whose parameters have these types."""
    return text(statement).bindparams(
        *(bindparam(name, type_=type_) for name, type_ in types.items())
    )


IDS = ARRAY(Uuid)
TEXTS = ARRAY(Text)
_BODIES = ARRAY(LargeBinary)
_INSTANT = DateTime(timezone=True)

_RECORD = bound(
    """
    INSERT INTO inbox (event_id, aggregate, received_at, state, type, body, sender, reason)
    SELECT event_id, aggregate, :now, state, type, body, sender, reason
    FROM unnest(:ids, :aggregates, :states, :types, :bodies, :senders, :reasons) WITH ORDINALITY
        AS a (event_id, aggregate, state, type, body, sender, reason, place)
    ORDER BY place
    ON CONFLICT DO NOTHING RETURNING event_id
    """,
    now=_INSTANT,
    ids=IDS,
    aggregates=TEXTS,
    states=TEXTS,
    types=TEXTS,
    bodies=_BODIES,
    senders=TEXTS,
    reasons=TEXTS,
)
_GUARDS = bound(
    """
    SELECT id, NULL FROM data_subject WHERE id = ANY(:people) AND erased_at IS NOT NULL
    UNION ALL
    SELECT NULL, aggregate FROM inbox WHERE aggregate = ANY(:aggregates) AND state = 'waiting'
    """,
    people=IDS,
    aggregates=TEXTS,
)
_FENCE = bound("UPDATE inbox SET state = 'fenced' WHERE event_id = ANY(:ids)", ids=IDS)
# When an event is due is told by the one clock that all replicas share: by their own, one whose clock is
# ahead would use up the attempts at once, and what it postponed would wait for the others' to catch up.
NOW = "now() + CAST(:ahead AS interval)"
_HOLD = bound(
    f"""
    UPDATE inbox SET state = 'waiting', retry_at = {NOW}, type = h.type, body = h.body,
        sender = h.sender, reason = 'in-line'
    FROM unnest(:ids, :types, :bodies, :senders) h (event_id, type, body, sender)
    WHERE inbox.event_id = h.event_id
    """,  # noqa: S608 - constants only
    ahead=Interval,
    ids=IDS,
    types=TEXTS,
    bodies=_BODIES,
    senders=TEXTS,
)
_KEEP = bound(
    f"""
    INSERT INTO inbox
        (event_id, aggregate, received_at, state, attempts, retry_at, type, body, sender, reason)
    VALUES (:id, :aggregate, :now, :state, 1, {NOW}, :type, :body, :sender, :reason)
    ON CONFLICT DO NOTHING
    """,  # noqa: S608 - constants only
    id=Uuid,
    now=_INSTANT,
    ahead=Interval,
    body=LargeBinary,
)
_PRUNE = bound(
    "DELETE FROM inbox WHERE received_at < :before AND state IN ('done', 'fenced')",
    before=_INSTANT,
)


async def record(session: AsyncSession, batch: Sequence[Arrival]) -> set[UUID]:
    """Remember a batch as done, or parked; returns the ids that were not there before."""
    parked = [arrival if arrival.reason else None for arrival in batch]
    inserted = await session.scalars(
        _RECORD,
        {
            "now": clock.now(),
            "ids": [arrival.event_id for arrival in batch],
            "aggregates": [arrival.aggregate for arrival in batch],
            "states": [State.PARKED if arrival else State.DONE for arrival in parked],
            "types": [arrival and arrival.delivery.type for arrival in parked],
            "bodies": [arrival and arrival.body for arrival in parked],
            "senders": [arrival and arrival.delivery.sender for arrival in parked],
            "reasons": [arrival and arrival.reason for arrival in parked],
        },
    )
    return set(inserted)


async def guards(session: AsyncSession, batch: Sequence[Arrival]) -> tuple[set[UUID], set[str]]:
    """Who of the people named is erased, and which of the aggregates have waiting events."""
    if not batch:
        return set(), set()
    rows = await session.execute(
        _GUARDS,
        {
            "people": sorted({person for arrival in batch for person in arrival.people}),
            "aggregates": sorted({arrival.aggregate for arrival in batch}),
        },
    )
    erased, waiting = set(), set()
    for person, aggregate in rows:
        if person is not None:
            erased.add(person)
        else:
            waiting.add(aggregate)
    return erased, waiting


async def fence(session: AsyncSession, batch: Sequence[Arrival]) -> None:
    """These name erased people."""
    await session.execute(_FENCE, {"ids": [arrival.event_id for arrival in batch]})


async def hold(session: AsyncSession, batch: Sequence[Arrival]) -> None:
    """These wait: behind another of their aggregate, or to be tried one by one."""
    await session.execute(
        _HOLD,
        {
            "ahead": clock.rehearsed(),
            "ids": [arrival.event_id for arrival in batch],
            "types": [arrival.delivery.type for arrival in batch],
            "bodies": [arrival.body for arrival in batch],
            "senders": [arrival.delivery.sender for arrival in batch],
        },
    )


async def keep(session: AsyncSession, arrival: Arrival, *, state: State, reason: str) -> None:
    """Remember one that failed, to be tried again at once, or that is fenced."""
    waits = state is State.WAITING
    await session.execute(
        _KEEP,
        {
            "id": arrival.event_id,
            "aggregate": arrival.aggregate,
            "now": clock.now(),
            "ahead": clock.rehearsed(),
            "state": state,
            "type": arrival.delivery.type if waits else None,
            "body": arrival.body if waits else None,
            "sender": arrival.delivery.sender,
            "reason": reason,
        },
    )


async def prune(session: AsyncSession, *, before: datetime) -> int:
    """Delete finished rows received before that instant."""
    done = await session.execute(_PRUNE, {"before": before})
    return int(getattr(done, "rowcount", 0))
