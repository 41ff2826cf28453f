"""The rows of the inbox, read and written set by set."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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


LEASE = timedelta(seconds=5)
"""How soon an event is tried again whose process died over it."""


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


def _bound(statement: str, **types: Any) -> Any:
    return text(statement).bindparams(
        *(bindparam(name, type_=type_) for name, type_ in types.items())
    )


_IDS = ARRAY(Uuid)
_TEXTS = ARRAY(Text)
_BODIES = ARRAY(LargeBinary)
_INSTANT = DateTime(timezone=True)

_RECORD = _bound(
    """
    INSERT INTO inbox (event_id, aggregate, received_at, state, type, body, sender, reason)
    SELECT event_id, aggregate, :now, state, type, body, sender, reason
    FROM unnest(:ids, :aggregates, :states, :types, :bodies, :senders, :reasons) WITH ORDINALITY
        AS a (event_id, aggregate, state, type, body, sender, reason, place)
    ORDER BY place
    ON CONFLICT DO NOTHING RETURNING event_id
    """,
    now=_INSTANT,
    ids=_IDS,
    aggregates=_TEXTS,
    states=_TEXTS,
    types=_TEXTS,
    bodies=_BODIES,
    senders=_TEXTS,
    reasons=_TEXTS,
)
_GUARDS = _bound(
    """
    SELECT id, NULL FROM data_subject WHERE id = ANY(:people) AND erased_at IS NOT NULL
    UNION ALL
    SELECT NULL, aggregate FROM inbox WHERE aggregate = ANY(:aggregates) AND state = 'waiting'
    """,
    people=_IDS,
    aggregates=_TEXTS,
)
_FENCE = _bound("UPDATE inbox SET state = 'fenced' WHERE event_id = ANY(:ids)", ids=_IDS)
# When an event is due is told by the one clock that all replicas share: by their own, one whose clock is
# ahead would use up the attempts at once, and what it postponed would wait for the others' to catch up.
_NOW = "now() + CAST(:ahead AS interval)"
_HOLD = _bound(
    f"""
    UPDATE inbox SET state = 'waiting', retry_at = {_NOW}, type = h.type, body = h.body,
        sender = h.sender, reason = 'in-line'
    FROM unnest(:ids, :types, :bodies, :senders) h (event_id, type, body, sender)
    WHERE inbox.event_id = h.event_id
    """,  # noqa: S608 - constants only
    ahead=Interval,
    ids=_IDS,
    types=_TEXTS,
    bodies=_BODIES,
    senders=_TEXTS,
)
_KEEP = _bound(
    f"""
    INSERT INTO inbox
        (event_id, aggregate, received_at, state, attempts, retry_at, type, body, sender, reason)
    VALUES (:id, :aggregate, :now, :state, 1, {_NOW}, :type, :body, :sender, :reason)
    ON CONFLICT DO NOTHING
    """,  # noqa: S608 - constants only
    id=Uuid,
    now=_INSTANT,
    ahead=Interval,
    body=LargeBinary,
)
_CLAIM = _bound(
    f"""
    UPDATE inbox SET attempts = attempts + 1, retry_at = {_NOW} + CAST(:lease AS interval)
    WHERE event_id = (
        SELECT event_id FROM inbox i
        WHERE state = 'waiting' AND retry_at <= {_NOW} AND NOT EXISTS (
            SELECT FROM inbox e
            WHERE e.aggregate = i.aggregate AND e.state = 'waiting' AND e."order" < i."order"
        )
        ORDER BY "order" LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING body, sender, attempts
    """,  # noqa: S608 - constants only
    ahead=Interval,
    lease=Interval,
)
# One claim at a time: a batch that passed over a row which somebody else is claiming would overtake it.
_TURN = text("SELECT pg_advisory_xact_lock(1128482116)")
_CLAIM_FRESH = _bound(
    f"""
    WITH claimed AS (
        UPDATE inbox SET attempts = 1, retry_at = {_NOW} + CAST(:lease AS interval)
        WHERE event_id IN (
            SELECT event_id FROM inbox i
            WHERE state = 'waiting' AND attempts = 0 AND retry_at <= {_NOW} AND NOT EXISTS (
                SELECT FROM inbox e
                WHERE e.aggregate = i.aggregate AND e.state = 'waiting' AND e."order" < i."order"
                AND (e.attempts > 0 OR e.retry_at > {_NOW})
            )
            ORDER BY "order" LIMIT :limit
        )
        RETURNING "order", body, sender, attempts
    )
    SELECT body, sender, attempts FROM claimed ORDER BY "order"
    """,  # noqa: S608 - constants only
    ahead=Interval,
    lease=Interval,
)
_STILL_ALL_OURS = _bound(
    "SELECT event_id FROM inbox WHERE event_id = ANY(:ids) AND state = 'waiting' AND attempts = 1"
    ' ORDER BY "order" FOR UPDATE',
    ids=_IDS,
)
_FINISH_ALL = _bound(
    """
    UPDATE inbox SET state = f.state, reason = f.reason, retry_at = NULL,
        body = CASE WHEN f.state = 'parked' THEN body END
    FROM unnest(:ids, :states, :reasons) f (event_id, state, reason)
    WHERE inbox.event_id = f.event_id
    """,
    ids=_IDS,
    states=_TEXTS,
    reasons=_TEXTS,
)
_STILL_OURS = _bound(
    "SELECT true FROM inbox WHERE event_id = :id AND state = 'waiting' AND attempts = :attempts"
    " FOR UPDATE",
    id=Uuid,
)
_FINISH = _bound(
    """
    UPDATE inbox SET state = :state, reason = :reason, retry_at = NULL,
        body = CASE WHEN :keep THEN body END
    WHERE event_id = :id
    """,
    id=Uuid,
)
_POSTPONE = _bound(
    f"UPDATE inbox SET retry_at = {_NOW} + CAST(:pause AS interval), reason = :reason"  # noqa: S608
    " WHERE event_id = :id",
    id=Uuid,
    ahead=Interval,
    pause=Interval,
)
_WELCOME = _bound(
    f"UPDATE inbox SET state = 'waiting', retry_at = {_NOW}, attempts = 0, reason = NULL"  # noqa: S608
    " WHERE state = 'parked' AND type = ANY(:types)",
    ahead=Interval,
    types=_TEXTS,
)
_PRUNE = _bound(
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


async def claim_fresh(session: AsyncSession, table: Table) -> list[Arrival]:
    """Take the waiting events that were never tried and have nothing before them that was.

    Up to 100, in order, as `claim` takes one: written down together, they can be tried together.
    """
    await session.execute(_TURN)
    claimed = await session.execute(
        _CLAIM_FRESH, {"ahead": clock.rehearsed(), "lease": LEASE, "limit": 100}
    )
    return [_claimed(row, table) for row in claimed]


async def claim(session: AsyncSession, table: Table) -> Arrival | None:
    """Take the first waiting event that is due and the first of its aggregate, for 5 seconds.

    The attempt counts from now on, so that an event that kills the process cannot do so for ever.
    """
    await session.execute(_TURN)
    claimed = await session.execute(_CLAIM, {"ahead": clock.rehearsed(), "lease": LEASE})
    row = claimed.one_or_none()
    return _claimed(row, table) if row else None


def _claimed(row: Any, table: Table) -> Arrival:
    return arrival_of(
        Envelope.model_validate_json(row.body),
        body=row.body,
        sender=row.sender,
        redelivered=True,
        table=table,
        attempts=row.attempts,
    )


async def lock_all(session: AsyncSession, batch: Sequence[Arrival]) -> bool:
    """Lock the rows of events claimed by `claim_fresh`; False when one is no longer ours to try."""
    found = await session.scalars(_STILL_ALL_OURS, {"ids": [one.event_id for one in batch]})
    return len(found.all()) == len(batch)


async def finish_all(session: AsyncSession, batch: Sequence[tuple[Arrival, State]]) -> None:
    """Give waiting events that worked, are fenced or must be parked their last state."""
    await session.execute(
        _FINISH_ALL,
        {
            "ids": [one.event_id for one, _ in batch],
            "states": [state for _, state in batch],
            "reasons": [one.reason for one, _ in batch],
        },
    )


async def lock(session: AsyncSession, arrival: Arrival) -> bool:
    """Lock the row of a claimed event; False when it is no longer ours to try."""
    found = await session.execute(
        _STILL_OURS, {"id": arrival.event_id, "attempts": arrival.attempts}
    )
    return found.one_or_none() is not None


async def finish(
    session: AsyncSession, arrival: Arrival, *, state: State, reason: str | None
) -> None:
    """Give a waiting event its last state; dead and parked ones keep their body."""
    await session.execute(
        _FINISH,
        {
            "id": arrival.event_id,
            "state": state,
            "reason": reason,
            "keep": state in (State.DEAD, State.PARKED),
        },
    )


async def postpone(
    session: AsyncSession, arrival: Arrival, *, pause: timedelta, reason: str
) -> None:
    """It failed again: not before that pause."""
    await session.execute(
        _POSTPONE,
        {
            "id": arrival.event_id,
            "ahead": clock.rehearsed(),
            "pause": pause,
            "reason": reason,
        },
    )


async def welcome(session: AsyncSession, types: Sequence[str]) -> None:
    """Take up what an earlier release had to park and this one knows."""
    await session.execute(_WELCOME, {"ahead": clock.rehearsed(), "types": list(types)})


async def prune(session: AsyncSession, *, before: datetime) -> int:
    """Delete finished rows received before that instant."""
    done = await session.execute(_PRUNE, {"before": before})
    return int(getattr(done, "rowcount", 0))
