"""The inbox: each event takes effect once per service, in order per aggregate, or is kept with a reason.

Up to a hundred messages share one transaction: their ids go into the inbox, their handlers run, it
commits, and only then the broker is told. When a handler fails, what came before it is done again
without it, the event is written down as waiting, and the rest goes on. A waiting event holds back
later ones of its aggregate, and nobody else.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog
from aio_pika.abc import AbstractIncomingMessage
from prometheus_client import Counter
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import clock, crash, inbox_rows
from chassis.bus import Backoff, jittered, wait_any
from chassis.commands import run_commands
from chassis.consuming import Delivery, Source, consume, decode, deliveries, refuse
from chassis.db import Database, subject_is_erased, wake
from chassis.errors import ProblemError, SubjectErasedError
from chassis.inbox_rows import Arrival, Handler, State, Table, arrival_of, table_of
from chassis.outage import collided, is_outage
from contracts.base import TYPE_PREFIX, Envelope, Event, Kind

__all__ = ["BELL", "Delivery", "Handler", "prune", "run_commands", "run_consumer", "run_retries"]

BELL = "inbox"
"""The bell of `Database.bells` that wakes the retries of this process."""

BATCH = 100
PREFETCH = 200
HANDLER_S = 30
"""A handler that takes longer has failed."""
RETRIES_S = (0, 5, 60, 600)
"""Pauses before an event that failed is tried again; after the last it is a dead letter."""
KEPT_FOR = timedelta(days=30)
"""How long an event id is remembered: retries, manual replays and restores are younger."""
IN_A_ROW = 10
"""So many failures one after the other are an outage, not bad events: one probe at a time then."""

_events = Counter("inbox_events_total", "Events by what became of them", ["service", "state"])
_late = Counter("late_events_refused", "Events about erased people, not applied", ["service"])

logger = structlog.get_logger()


class _Streak:
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


class _HandlerFailed(Exception):
    """The handler of one arrival of a batch raised."""

    def __init__(self, index: int, error: Exception) -> None:
        super().__init__(index)
        self.index = index
        self.error = error


async def run_consumer(
    *,
    db: Database,
    amqp_url: str,
    queue: str,
    handlers: Mapping[type[Event], Handler[Any]],
    stop: asyncio.Event,
    only_senders: Collection[str] | None = None,
) -> None:
    """Apply the events of a queue until `stop`; needs `run_retries` beside it.

    Order is kept because the queue has a single active consumer: replicas stand by. With
    `only_senders`, what another broker user published goes to the dead letters. A lost broker or
    database is waited for; nothing is raised, nothing dropped.
    """
    consumer = _Consumer(db, queue, table_of(handlers), stop, only_senders)
    await consume(amqp_url=amqp_url, queue=queue, prefetch=PREFETCH, stop=stop, work=consumer.work)


class _Consumer:
    def __init__(
        self,
        db: Database,
        queue: str,
        table: Table,
        stop: asyncio.Event,
        only_senders: Collection[str] | None,
    ) -> None:
        self._db = db
        self._queue = queue
        self._table = table
        self._stop = stop
        self._only_senders = only_senders
        self._streak = _Streak()

    async def work(self, source: Source) -> None:
        """Take batches until the source has no more to give."""
        pending: list[tuple[AbstractIncomingMessage, Arrival]] = []
        while pending or (taken := await source.take(BATCH, self._stop)):
            if not pending:
                read = [(message, await self._read(message)) for message in taken]
                source.finished(*(message for message, arrival in read if arrival is None))
                pending = [(message, arrival) for message, arrival in read if arrival is not None]
                continue
            batch = pending[:1] if self._streak.probing else pending
            settled = await self._settle([arrival for _, arrival in batch], source)
            if not settled:
                return
            crash.point("inbox.after_commit_before_ack")
            await batch[settled - 1][0].ack(multiple=True)
            source.finished(*(message for message, _ in batch[:settled]))
            pending = pending[settled:]
            await self._streak.pause(self._stop, source.lost)

    async def _read(self, message: AbstractIncomingMessage) -> Arrival | None:
        if self._only_senders is not None and message.user_id not in self._only_senders:
            await refuse(message, queue=self._queue, reason="stranger")
            return None
        envelope = await decode(message, queue=self._queue)
        if envelope is None:
            return None
        if not self._is_what_its_key_says(message, envelope):
            await refuse(message, queue=self._queue, reason="type-against-routing-key")
            return None
        return arrival_of(
            envelope,
            body=message.body,
            sender=message.user_id,
            redelivered=deliveries(message) > 0,
            table=self._table,
        )

    def _is_what_its_key_says(self, message: AbstractIncomingMessage, envelope: Envelope) -> bool:
        """The broker held the routing key against who speaks, but nobody has held the type yet.

        An answer of an unknown type is refused, not parked: a later release might take it for a fact.
        """
        if message.exchange == Kind.FACT:
            return envelope.type == f"{TYPE_PREFIX}.{message.routing_key}"
        if message.exchange == Kind.ANSWER:
            known = self._table.get(envelope.type)
            return known is not None and known[0].routing_key() == message.routing_key
        return True  # an operator put it back into the queue

    async def _settle(self, batch: Sequence[Arrival], source: Source) -> int:
        """Process a batch, waiting for the database if need be.

        Returns how many of it are settled, from its beginning; 0 when all will be delivered again.
        """
        backoff = Backoff(longest=3.0)
        while not self._stop.is_set() and not source.lost.is_set():
            try:
                return await self._process(batch)
            except Exception as error:
                logger.error("inbox_waits_for_database", queue=self._queue, exc_info=error)
            await wait_any(self._stop, source.lost, within=backoff.next())
        return 0

    async def _process(self, batch: Sequence[Arrival]) -> int:
        """Apply a batch around whatever fails in it; returns how many are settled.

        Stops early when failures follow one another. Raises when the database is not there.
        """
        settled = 0
        while settled < len(batch):
            rest = batch[settled:]
            try:
                await self._apply(rest)
            except _HandlerFailed as failed:
                before, one = rest[: failed.index], rest[failed.index]
                settled += (count := await self._process(before))
                if count < len(before):
                    break
                if collided(failed.error) and len(rest) > 1:
                    settled += await self._process([one])
                else:
                    await self._keep(one, failed.error)
                    settled += 1
            except Exception as error:
                if is_outage(error):
                    raise
                settled += await self._singly(rest, error)
            else:
                return len(batch)
            if self._streak.probing:
                break
        return settled

    async def _singly(self, batch: Sequence[Arrival], error: Exception) -> int:
        """Find whose fault it was that the batch was refused at its commit."""
        if len(batch) == 1:
            await self._keep(batch[0], error)
            return 1
        settled = 0
        for one in batch:
            settled += await self._process([one])
            if self._streak.probing:
                break
        return settled

    async def _apply(self, batch: Sequence[Arrival]) -> None:
        """One transaction for the batch. Raises `_HandlerFailed` for the first that cannot be."""
        counts: dict[State, int] = dict.fromkeys(State, 0)
        async with self._db.transaction() as session:
            fresh = await inbox_rows.record(session, batch)
            erased, waiting = await inbox_rows.guards(
                session, [arrival for arrival in batch if arrival.event_id in fresh]
            )
            fenced, held = [], []
            for index, arrival in enumerate(batch):
                if arrival.event_id not in fresh:
                    continue
                fresh.discard(arrival.event_id)  # the same event twice in one batch
                state = State.DONE
                if arrival.reason:
                    state = State.PARKED
                elif arrival.people & erased:
                    state = State.FENCED
                    fenced.append(arrival)
                elif arrival.aggregate in waiting:
                    state = State.WAITING
                    held.append(arrival)
                else:
                    try:
                        await handle(session, arrival)
                    except Exception as error:
                        if is_outage(error):
                            raise
                        raise _HandlerFailed(index, error) from error
                counts[state] += 1
            if fenced:
                await inbox_rows.fence(session, fenced)
            if held:
                await inbox_rows.hold(session, held)
            crash.point("inbox.before_commit")
        if counts[State.DONE]:
            self._streak.worked()
        self._count(counts)

    async def _keep(self, arrival: Arrival, error: Exception) -> None:
        """Write down an event whose handler failed: fenced if that is why, else waiting."""
        async with self._db.transaction() as session:
            late = await is_late(session, arrival, error)
            await inbox_rows.keep(
                session, arrival, state=State.FENCED if late else State.WAITING, reason=slug(error)
            )
            wake(session, BELL)
        if late:
            self._count({State.FENCED: 1})
            return
        self._streak.failed()
        self._count({State.WAITING: 1})
        logger.warning(
            "event_failed",
            event_id=str(arrival.event_id),
            type=arrival.delivery.type,
            attempt=1,
            exc_info=error,
        )

    def _count(self, counts: Mapping[State, int]) -> None:
        for state, count in counts.items():
            if count:
                _events.labels(self._db.service, state.value).inc(count)
        if late := counts.get(State.FENCED):
            _late.labels(self._db.service).inc(late)


async def handle(session: AsyncSession, arrival: Arrival) -> None:
    """Run the handler, with its writes sent to the database so that their errors are its own."""
    if arrival.event is None or arrival.handler is None:
        raise LookupError(arrival.delivery.type)
    session.info["traceparent"] = arrival.traceparent
    async with asyncio.timeout(HANDLER_S):
        await arrival.handler(session, arrival.event, arrival.delivery)
        await session.flush()


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


async def run_retries(
    *, db: Database, handlers: Mapping[type[Event], Handler[Any]], stop: asyncio.Event
) -> None:
    """Try waiting events again when they are due, in order per aggregate, until `stop`."""
    table = table_of(handlers)
    bell, streak, backoff = db.bells[BELL], _Streak(), Backoff(longest=5.0)
    welcomed = False
    while not stop.is_set():
        bell.clear()
        try:
            if not welcomed:
                async with db.transaction() as session:
                    await inbox_rows.welcome(session, list(table))
                welcomed = True
            worked = await _retry_next(db, table)
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


async def _retry_next(db: Database, table: Table) -> bool | None:
    """Try the first event that is due; returns whether it worked, None when there is none.

    Raises when the database is not there.
    """
    arrival: Arrival | None = None
    state = State.DONE
    try:
        async with db.transaction() as session:
            arrival = await inbox_rows.next_due(session, table)
            if arrival is None:
                return None
            erased, _ = await inbox_rows.guards(session, [arrival])
            if arrival.reason:
                state = State.PARKED
            elif erased:
                state = State.FENCED
            else:
                await handle(session, arrival)
            await inbox_rows.finish(session, arrival, state=state, reason=arrival.reason)
    except Exception as error:
        if arrival is None or is_outage(error):
            raise
        return await _retry_failed(db, arrival, error)
    _events.labels(db.service, state.value).inc()
    if state is State.FENCED:
        _late.labels(db.service).inc()
    return True


async def _retry_failed(db: Database, arrival: Arrival, error: Exception) -> bool:
    attempt = arrival.attempts + 1
    async with db.transaction() as session:
        if late := await is_late(session, arrival, error):
            await inbox_rows.finish(session, arrival, state=State.FENCED, reason=None)
        elif attempt > len(RETRIES_S):
            await inbox_rows.finish(session, arrival, state=State.DEAD, reason=slug(error))
        else:
            again = clock.now() + timedelta(seconds=RETRIES_S[attempt - 1])
            await inbox_rows.postpone(
                session, arrival, attempts=attempt, retry_at=again, reason=slug(error)
            )
    if late:
        _late.labels(db.service).inc()
        return True
    dead = attempt > len(RETRIES_S)
    (logger.error if dead else logger.warning)(
        "event_dead" if dead else "event_failed",
        event_id=str(arrival.event_id),
        type=arrival.delivery.type,
        attempt=attempt,
        exc_info=error,
    )
    if dead:
        _events.labels(db.service, State.DEAD.value).inc()
    return False


async def prune(session: AsyncSession) -> int:
    """Forget the ids of events that were finished 30 days ago; returns how many."""
    return await inbox_rows.prune(session, before=clock.now() - KEPT_FOR)
