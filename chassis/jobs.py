"""Running jobs: at their time, or when their bell rings, by one of several replicas."""

import asyncio
import contextlib
import time
from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy import text

from chassis import audit, clock, crash, idempotency, inbox, rehearsal

if TYPE_CHECKING:
    from chassis.service import Job, Runtime

_succeeded = Gauge(
    "ccib_job_last_success_timestamp_seconds",
    "When this process last carried the job out (Unix time)",
    ["service", "job_name"],
)
_failures = Counter(
    "ccib_job_failures", "Runs of the job that raised; it is tried again", ["service", "job_name"]
)
_duration = Gauge(
    "ccib_job_last_duration_seconds",
    "How long the last run of the job took",
    ["service", "job_name"],
)

logger = structlog.get_logger()

_PARIS = ZoneInfo("Europe/Paris")
_NIGHT_HOURS = 3
"""A worker that was away at its hour has so many to make up for it."""
_A_NIGHT = timedelta(hours=12)
_REHEARSAL_S = 900
"""No statement of it lasts longer: nobody waits for it, but the room that it took is cleared after it."""


async def run_job(runtime: "Runtime", job: "Job") -> None:
    """Run a job until the runtime stops; what it raises is counted and written down."""
    bell = runtime.db.bells[job.bell or f"job {job.name}"]
    while not runtime.stop.is_set():
        try:
            await once_among_replicas(runtime, job)
        except Exception as error:
            _failures.labels(runtime.service.name, job.name).inc()
            logger.error("job_failed", job=job.name, exc_info=error)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(bell.wait(), job.every.total_seconds())
        if not runtime.stop.is_set():
            bell.clear()


async def once_among_replicas(runtime: "Runtime", job: "Job") -> None:
    """Hold an advisory lock while the job runs; another replica that holds it does the work."""
    if runtime.gate.reason is not None:
        return
    name = f"{runtime.service.name}.{job.name}"
    async with runtime.db.locks.connect() as connection:
        taken = await connection.scalar(
            text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name}
        )
        if taken:
            began = time.monotonic()
            await job.run(runtime)
            _duration.labels(runtime.service.name, job.name).set(time.monotonic() - began)
            _succeeded.labels(runtime.service.name, job.name).set_to_current_time()


async def prune(runtime: "Runtime") -> None:
    """Delete what the chassis remembers long enough: event ids, idempotency keys, the audit."""
    async with runtime.db.transaction() as session:
        await inbox.prune(session)
        await idempotency.prune(session)
        await audit.prune(session)
    crash.point("service.after_prune")


async def rehearse_by_night(runtime: "Runtime") -> None:
    """Rehearse an erasure once a night, unless an operator has just done so.

    What it left is logged by table and column, and counted (`ccib_rehearsal_left`).
    """
    begins, hour = runtime.settings.rehearsal_hour, clock.now().astimezone(_PARIS).hour
    if begins is None or (hour - begins) % 24 >= _NIGHT_HOURS:
        return
    async with runtime.db.transaction() as session:
        done = await audit.last(session, rehearsal.ACTION)
        if done is not None and clock.now() - done.done_at < _A_NIGHT:
            return
        told = await rehearsal.rehearse(session, runtime.eraser, by=None, seconds=_REHEARSAL_S)
    crash.point("service.after_rehearsal")
    if not told.holds:
        logger.error(
            "rehearsal_fails", left=told.left, unreadable=told.unreadable, trouble=told.trouble
        )
