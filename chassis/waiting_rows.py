"""The rows of waiting events: claimed by one who retries, locked while it tries, finished or put off."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Interval, Uuid

from chassis import clock
from chassis.inbox_rows import IDS, NOW, TEXTS, Arrival, State, Table, arrival_of, bound
from contracts.base import Envelope

LEASE = timedelta(seconds=5)
"""How soon an event is tried again whose process died over it."""

_CLAIM = bound(
    f"""
    UPDATE inbox SET attempts = attempts + 1, retry_at = {NOW} + CAST(:lease AS interval)
    WHERE event_id = (
        SELECT event_id FROM inbox i
        WHERE state = 'waiting' AND retry_at <= {NOW} AND NOT EXISTS (
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
_CLAIM_FRESH = bound(
    f"""
    WITH claimed AS (
        UPDATE inbox SET attempts = 1, retry_at = {NOW} + CAST(:lease AS interval)
        WHERE event_id IN (
            SELECT event_id FROM inbox i
            WHERE state = 'waiting' AND attempts = 0 AND retry_at <= {NOW} AND NOT EXISTS (
                SELECT FROM inbox e
                WHERE e.aggregate = i.aggregate AND e.state = 'waiting' AND e."order" < i."order"
                AND (e.attempts > 0 OR e.retry_at > {NOW})
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
_STILL_ALL_OURS = bound(
    "SELECT event_id FROM inbox WHERE event_id = ANY(:ids) AND state = 'waiting' AND attempts = 1"
    ' ORDER BY "order" FOR UPDATE',
    ids=IDS,
)
_FINISH_ALL = bound(
    """
    UPDATE inbox SET state = f.state, reason = f.reason, retry_at = NULL,
        body = CASE WHEN f.state = 'parked' THEN body END
    FROM unnest(:ids, :states, :reasons) f (event_id, state, reason)
    WHERE inbox.event_id = f.event_id
    """,
    ids=IDS,
    states=TEXTS,
    reasons=TEXTS,
)
_STILL_OURS = bound(
    "SELECT true FROM inbox WHERE event_id = :id AND state = 'waiting' AND attempts = :attempts"
    " FOR UPDATE",
    id=Uuid,
)
_FINISH = bound(
    """
    UPDATE inbox SET state = :state, reason = :reason, retry_at = NULL,
        body = CASE WHEN :keep THEN body END
    WHERE event_id = :id
    """,
    id=Uuid,
)
_POSTPONE = bound(
    f"UPDATE inbox SET retry_at = {NOW} + CAST(:pause AS interval), reason = :reason"  # noqa: S608
    " WHERE event_id = :id",
    id=Uuid,
    ahead=Interval,
    pause=Interval,
)
_WELCOME = bound(
    f"UPDATE inbox SET state = 'waiting', retry_at = {NOW}, attempts = 0, reason = NULL"  # noqa: S608
    " WHERE state = 'parked' AND type = ANY(:types)",
    ahead=Interval,
    types=TEXTS,
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
