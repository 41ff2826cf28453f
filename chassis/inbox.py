"""The inbox: each event takes effect once per service, in order per aggregate, or is kept with a reason.

Up to a hundred messages share one transaction: their ids go into the inbox, their handlers run, it
commits, and only then the broker is told. When a handler fails, what came before it is done again
without it, the event is written down as waiting, and the rest goes on. A waiting event holds back
later ones of its aggregate, and nobody else.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog
from aio_pika.abc import AbstractIncomingMessage
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import clock, crash, inbox_rows
from chassis.bus import Backoff, wait_any
from chassis.commands import run_commands
from chassis.consuming import Delivery, Source, consume, decode, deliveries, refuse, suspicious
from chassis.db import Database, wake
from chassis.handling import BELL, Streak, count, handle, is_late, slug
from chassis.inbox_rows import Arrival, Handler, State, Table, Together, arrival_of, table_of
from chassis.outage import collided, is_outage
from chassis.retries import run_retries
from contracts.base import TYPE_PREFIX, Envelope, Event, Kind

__all__ = [
    "BELL",
    "Delivery",
    "Handler",
    "Together",
    "prune",
    "run_commands",
    "run_consumer",
    "run_retries",
]

BATCH = 100
PREFETCH = 200
KEPT_FOR = timedelta(days=30)
"""How long an event id is remembered: retries, manual replays and restores are younger."""

logger = structlog.get_logger()


class _HandlerFailed(Exception):
    """The handler of one arrival of a batch raised."""

    def __init__(self, index: int, error: Exception) -> None:
        super().__init__(index)
        self.index = index
        self.error = error


class _TogetherFailed(Exception):
    """A handler that took several events at once raised: whose fault it was, nobody knows yet."""


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
        self._streak = Streak()

    async def work(self, source: Source) -> None:
        """Take batches until the source has no more to give."""
        pending: list[tuple[AbstractIncomingMessage, Arrival]] = []
        while pending or (taken := await source.take(BATCH, self._stop)):
            if not pending:
                read = [(message, await self._read(message)) for message in taken]
                pending = [(message, arrival) for message, arrival in read if arrival is not None]
                continue
            batch = list(itertools.takewhile(lambda one: suspicious(one[0]), pending))
            work = self._write_down if batch else self._process
            batch = batch or (pending[:1] if self._streak.probing else pending)
            settled = await self._settle([arrival for _, arrival in batch], work, source)
            if not settled:
                return
            crash.point("inbox.after_commit_before_ack")
            await batch[settled - 1][0].ack(multiple=True)
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

    async def _settle(
        self,
        batch: Sequence[Arrival],
        work: Callable[[Sequence[Arrival]], Awaitable[int]],
        source: Source,
    ) -> int:
        """Do that work with a batch, waiting for the database if need be.

        Returns how many of it are settled, from its beginning; 0 when all will be delivered again.
        """
        backoff = Backoff(longest=3.0)
        while not self._stop.is_set() and not source.lost.is_set():
            try:
                return await work(batch)
            except Exception as error:
                logger.error("inbox_waits_for_database", queue=self._queue, exc_info=error)
            await wait_any(self._stop, source.lost, within=backoff.next())
        return 0

    async def _write_down(self, batch: Sequence[Arrival]) -> int:
        """Leave a batch to the retries, which count each attempt before they make it.

        One of it may kill every process that handles it; written down, none is delivered any more.
        """
        async with self._db.transaction() as session:
            fresh = await inbox_rows.record(session, batch)
            held = [one for one in batch if one.event_id in fresh and not one.reason]
            if held:
                await inbox_rows.hold(session, held)
                wake(session, BELL)
        crash.point("inbox.after_write_down")
        count(self._db, {State.WAITING: len(held), State.PARKED: len(fresh) - len(held)})
        return len(batch)

    async def _process(self, batch: Sequence[Arrival]) -> int:
        """Apply a batch around whatever fails in it; returns how many are settled.

        Stops early when failures follow one another. Raises when the database is not there.
        """
        settled, together = 0, True
        while settled < len(batch):
            rest = batch[settled:]
            try:
                await self._apply(rest, together=together)
            except _TogetherFailed:
                together = False
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

    async def _apply(self, batch: Sequence[Arrival], *, together: bool) -> None:
        """One transaction for the batch. Raises `_HandlerFailed` for the first that cannot be, and
        `_TogetherFailed` when it is one of several that were handled `together`.
        """
        counts: dict[State, int] = dict.fromkeys(State, 0)
        async with self._db.transaction() as session:
            fresh = await inbox_rows.record(session, batch)
            erased, waiting = await inbox_rows.guards(
                session, [arrival for arrival in batch if arrival.event_id in fresh]
            )
            fenced, held, todo = [], [], []
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
                    todo.append((index, arrival))
                counts[state] += 1
            for run in _runs(todo, together=together):
                await _handle_run(session, run)
            if fenced:
                await inbox_rows.fence(session, fenced)
            if held:
                await inbox_rows.hold(session, held)
            crash.point("inbox.before_commit")
        if counts[State.DONE]:
            self._streak.worked()
        count(self._db, counts)

    async def _keep(self, arrival: Arrival, error: Exception) -> None:
        """Write down an event whose handler failed: fenced if that is why, else waiting."""
        async with self._db.transaction() as session:
            late = await is_late(session, arrival, error)
            await inbox_rows.keep(
                session, arrival, state=State.FENCED if late else State.WAITING, reason=slug(error)
            )
            wake(session, BELL)
        crash.point("inbox.after_keep")
        if late:
            count(self._db, {State.FENCED: 1})
            return
        self._streak.failed()
        count(self._db, {State.WAITING: 1})
        logger.warning(
            "event_failed",
            event_id=str(arrival.event_id),
            type=arrival.delivery.type,
            attempt=1,
            exc_info=error,
        )


def _runs(
    arrivals: Sequence[tuple[int, Arrival]], *, together: bool
) -> Iterator[list[tuple[int, Arrival]]]:
    """One by one, but what follows one another for a handler that takes many, together."""
    for handler, run in itertools.groupby(arrivals, key=lambda one: one[1].handler):
        if together and isinstance(handler, Together):
            yield list(run)
        else:
            yield from ([one] for one in run)


async def _handle_run(session: AsyncSession, run: Sequence[tuple[int, Arrival]]) -> None:
    try:
        await handle(session, *(arrival for _, arrival in run))
    except Exception as error:
        if is_outage(error):
            raise
        if len(run) > 1:
            raise _TogetherFailed from error
        raise _HandlerFailed(run[0][0], error) from error


async def prune(session: AsyncSession) -> int:
    """Forget the ids of events that were finished 30 days ago; returns how many."""
    return await inbox_rows.prune(session, before=clock.now() - KEPT_FOR)
