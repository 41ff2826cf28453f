"""Gauges that need SQL: looked at slowly, by workers alone, not whenever somebody scrapes.

The age of the outbox is measured here and not by the relay: it matters most when there is no broker,
and then there is no relay.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from prometheus_client import Gauge
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import crash, rehearsal
from chassis.bus import wait_any
from chassis.db import Database
from chassis.errors import ReconcilingError

EVERY_S = 15.0

Sample = Callable[[AsyncSession], Awaitable[None]]
"""Reads a few numbers and sets gauges; nothing else."""

_oldest = Gauge("outbox_oldest_age_seconds", "Age of the oldest row", ["service"])
_parked = Gauge("outbox_parked", "Rows that need an operator", ["service"])
_stuck = Gauge("ccib_inbox_stuck", "Events that need an operator", ["service", "state"])
_waiting = Gauge("ccib_inbox_waiting", "Events that wait for their next attempt", ["service"])
_sampled = Gauge(
    "ccib_sampled_timestamp_seconds", "When the gauges that need SQL were last read", ["service"]
)

logger = structlog.get_logger()

# Each part has an index of its own, over few rows.
_BUS = text(
    """
    SELECT
        (SELECT extract(epoch FROM now() - created_at) FROM outbox ORDER BY id LIMIT 1) AS oldest,
        (SELECT count(*) FROM outbox WHERE blocked_until = 'infinity') AS parked,
        (SELECT count(*) FROM inbox WHERE state = 'waiting') AS waiting,
        (SELECT count(*) FROM inbox WHERE state IN ('dead', 'parked') AND state = 'dead') AS dead,
        (SELECT count(*) FROM inbox WHERE state IN ('dead', 'parked') AND state = 'parked')
            AS unknown
    """
)


async def run_sampling(*, db: Database, samples: Sequence[Sample], stop: asyncio.Event) -> None:
    """Sample until `stop`. What cannot be read keeps its last value; nothing is raised."""
    while not stop.is_set():
        try:
            async with db.transaction() as session:
                await _bus(session)
                for sample in (rehearsal.sample, *samples):
                    await sample(session)
            crash.point("sampling.after_read")
            _sampled.labels(db.service).set_to_current_time()
        except (OSError, SQLAlchemyError, ReconcilingError) as error:
            logger.warning("sampling_failed", error=type(error).__name__)
        await wait_any(stop, within=EVERY_S)


async def _bus(session: AsyncSession) -> None:
    found = (await session.execute(_BUS)).one()
    service = session.info["service"]
    _oldest.labels(service).set(found.oldest or 0)
    _parked.labels(service).set(found.parked)
    _waiting.labels(service).set(found.waiting)
    _stuck.labels(service, "dead").set(found.dead)
    _stuck.labels(service, "parked").set(found.unknown)
