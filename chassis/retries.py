"""Trying waiting events again, in order per aggregate, until they work or are dead letters."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog

from chassis import crash, inbox_rows, waiting_rows
from chassis.bus import Backoff, jittered, wait_any
from chassis.db import Database
from chassis.handling import BELL, Streak, count, handle, is_late, slug
from chassis.inbox_rows import Arrival, Handler, State, Table, table_of
from chassis.outage import is_outage
from contracts.base import Event

RETRIES_S = (0, 5, 60, 600)
"""Pauses before an event that failed is tried again; after the last it is a dead letter."""

logger = structlog.get_logger()


async def run_retries(
    *, db: Database, handlers: Mapping[type[Event], Handler[Any]], stop: asyncio.Event
) -> None:
    """Try waiting events again when they are due, in order per aggregate, until `stop`."""
    table = table_of(handlers)
    bell, streak, backoff = db.bells[BELL], Streak(), Backoff(longest=5.0)
    welcomed = False
    while not stop.is_set():
        bell.clear()
        try:
            if not welcomed:
                async with db.transaction() as session:
                    await waiting_rows.welcome(session, list(table))
                crash.point("retries.after_welcome")
                welcomed = True
            worked = await _retry_next(db, table, stop)
        except Exception as error:
            logger.error("retries_wait_for_database", exc_info=error)
            await wait_any(stop, within=backoff.next())
            continue
        backoff.reset()
        if worked is None:
            await wait_any(bell, stop, within=jittered(1.0))
        elif worked:
            streak.worked()
        else:
            streak.failed()
            await streak.pause(stop)


async def _retry_next(db: Database, table: Table, stop: asyncio.Event) -> bool | None:
    """Try what is due: all that was never tried, else the first; returns whether it worked.

    None when there is nothing.
    """
    async with db.transaction() as session:
        arrivals = await waiting_rows.claim_fresh(session, table)
        if not arrivals and (first := await waiting_rows.claim(session, table)):
            arrivals = [first]
    crash.point("retries.after_claim")
    if not arrivals:
        return None
    if len(arrivals) > 1 and await _retry_together(db, arrivals):
        return True
    worked, failed = True, set[str]()
    for arrival in arrivals:
        if arrival.aggregate not in failed and not await _retry_alone(db, arrival, stop):
            worked = False
            failed.add(arrival.aggregate)
    return worked


async def _retry_together(db: Database, arrivals: Sequence[Arrival]) -> bool:
    """One transaction for all; False when nothing came of it, for whatever reason."""
    try:
        async with db.transaction() as session:
            if not await waiting_rows.lock_all(session, arrivals):
                return False
            erased, _ = await inbox_rows.guards(session, arrivals)
            states: list[tuple[Arrival, State]] = []
            for arrival in arrivals:
                state = State.DONE
                if arrival.reason:
                    state = State.PARKED
                elif arrival.people & erased:
                    state = State.FENCED
                else:
                    await handle(session, arrival)
                states.append((arrival, state))
            await waiting_rows.finish_all(session, states)
    except Exception as error:
        logger.warning("events_tried_singly", events=len(arrivals), exc_info=error)
        return False
    crash.point("retries.after_batch")
    count(db, Counter(state for _, state in states))
    return True


async def _retry_alone(db: Database, arrival: Arrival, stop: asyncio.Event) -> bool:
    """Try one event that was claimed; returns whether it worked."""
    backoff = Backoff(longest=5.0)
    while not stop.is_set():
        try:
            return await _retry(db, arrival)
        except Exception as error:
            # Claimed, and not its fault: the attempt goes on when the database is back.
            logger.error("retries_wait_for_database", exc_info=error)
        await wait_any(stop, within=backoff.next())
    return False


async def _retry(db: Database, arrival: Arrival) -> bool:
    """One attempt; raises when the database is not there."""
    state, reason = State.DONE, arrival.reason
    try:
        async with db.transaction() as session:
            if not await waiting_rows.lock(session, arrival):
                return True
            erased, _ = await inbox_rows.guards(session, [arrival])
            if reason:
                state = State.PARKED
            elif erased:
                state = State.FENCED
            elif arrival.attempts > len(RETRIES_S) + 1:
                state, reason = State.DEAD, "died-with-its-process"
            else:
                await handle(session, arrival)
            await waiting_rows.finish(session, arrival, state=state, reason=reason)
        crash.point("retries.after_commit")
    except Exception as error:
        if is_outage(error):
            raise
        return await _retry_failed(db, arrival, error)
    count(db, {state: 1})
    return True


async def _retry_failed(db: Database, arrival: Arrival, error: Exception) -> bool:
    dead = arrival.attempts > len(RETRIES_S)
    async with db.transaction() as session:
        if late := await is_late(session, arrival, error):
            await waiting_rows.finish(session, arrival, state=State.FENCED, reason=None)
        elif dead:
            await waiting_rows.finish(session, arrival, state=State.DEAD, reason=slug(error))
        else:
            pause = timedelta(seconds=RETRIES_S[arrival.attempts - 1])
            await waiting_rows.postpone(session, arrival, pause=pause, reason=slug(error))
    crash.point("retries.after_failure")
    if late:
        count(db, {State.FENCED: 1})
        return True
    (logger.error if dead else logger.warning)(
        "event_dead" if dead else "event_failed",
        event_id=str(arrival.event_id),
        type=arrival.delivery.type,
        attempt=arrival.attempts,
        exc_info=error,
    )
    if dead:
        count(db, {State.DEAD: 1})
    return False
