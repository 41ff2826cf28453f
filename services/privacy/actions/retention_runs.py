"""Runs of the retention rules: one a day each, and a breaker that stops the unusual ones.

A run is written down, with what it may do at most, before it does anything. One that is unusual does
nothing until the DPO confirms that very run.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import audit, clock, outbox
from chassis.auth import Principal
from chassis.db import wake
from chassis.errors import NotFoundError
from services.privacy.actions.retention import RETENTION_BELL
from services.privacy.errors import (
    RetentionInTheFutureError,
    RetentionRunNotHeldError,
    RetentionRunOpenError,
)
from services.privacy.models import RetentionRun
from services.privacy.models.retention import CLOCK_TOLERANCE, Cause, Due, RunState
from services.privacy.queries import retention as queries
from services.privacy.reference.retention import Rule

_USUAL_OF = 30
"""The usual volume is the mean of so many runs that nobody had to confirm."""

log = structlog.get_logger()


async def begin(session: AsyncSession, *, rule: Rule) -> RetentionRun | None:
    """The run to carry out now: one that a crash left, or today's; None when there is none.

    A held run that nobody confirmed gives way to the run of another day.
    """
    open_run = await queries.open_run(session, rule=rule.id)
    if open_run is not None and open_run.state == RunState.RUNNING:
        return open_run
    day = await _day(session)
    if day is None or await queries.run_of_day(session, rule=rule.id, day=day) is not None:
        return None
    if open_run is not None:
        open_run.state, open_run.finished_at = RunState.SUPERSEDED, clock.now()
        await session.flush()
    run = await _start(session, rule=rule, day=day, by_hand=False)
    return run if run.state == RunState.RUNNING else None


async def start_by_hand(
    session: AsyncSession, *, rule: Rule, as_of: date | None, viewer: Principal
) -> RetentionRun:
    """A run that the DPO wants now; the breaker looks at it as at any other.

    Raises `RetentionInTheFutureError` for a day that has not begun, here or for the directory, and
    `RetentionRunOpenError` while another run of the rule is held or under way.
    """
    day = await _day(session)
    if day is None or (as_of is not None and as_of > day):
        raise RetentionInTheFutureError(_heard(day))
    if await queries.open_run(session, rule=rule.id) is not None:
        raise RetentionRunOpenError("Confirmez la passe suspendue, ou attendez la fin de l'autre.")
    run = await _start(session, rule=rule, day=as_of or day, by_hand=True)
    await audit.note(
        session,
        person_id=viewer.account_id,
        action="retention.run",
        run_id=str(run.id),
        rule=rule.id,
        day=run.day.isoformat(),
    )
    wake(session, RETENTION_BELL)
    return run


async def confirm(session: AsyncSession, *, run_id: UUID, viewer: Principal) -> RetentionRun:
    """The DPO lets a held run do what it says, and no more.

    Raises `NotFoundError`, `RetentionRunNotHeldError`, and `RetentionInTheFutureError` for a run that
    a wrong clock began.
    """
    run = await session.get(RetentionRun, run_id, with_for_update=True)
    if run is None:
        raise NotFoundError
    if run.state != RunState.HELD:
        raise RetentionRunNotHeldError("Elle a déjà été confirmée, terminée ou remplacée.")
    day = await _day(session)
    if day is None or run.day > day:
        raise RetentionInTheFutureError(_heard(day))
    run.state, run.confirmed_at = RunState.RUNNING, clock.now()
    await audit.note(
        session,
        person_id=viewer.account_id,
        action="retention.confirm",
        run_id=str(run.id),
        rule=run.rule,
        cause=run.cause,
        warnings=run.due_warnings,
        erasures=run.due_erasures,
    )
    wake(session, RETENTION_BELL)
    return run


async def untold(session: AsyncSession) -> Sequence[RetentionRun]:
    """Held runs of which the DPO has not been told, held by this transaction."""
    found = await session.scalars(
        select(RetentionRun)
        .where(col(RetentionRun.state) == RunState.HELD, col(RetentionRun.told_at).is_(None))
        .with_for_update(skip_locked=True)
    )
    return found.all()


def finish(run: RetentionRun) -> None:
    """Everything it was to do is done."""
    run.state, run.finished_at = RunState.FINISHED, clock.now()


async def _day(session: AsyncSession) -> date | None:
    """The day that runs go by: today, or the last one that the directory has told of whole."""
    heard = await queries.heard_until(session)
    return min(heard, queries.today()) if heard else None


def _heard(day: date | None) -> str:
    if day is None:
        return "L'annuaire n'a pas dit jusqu'à quel jour on sait qui a rejoint une communauté."
    return f"Une passe peut aller jusqu'au {day:%d/%m/%Y} au plus."


async def _start(session: AsyncSession, *, rule: Rule, day: date, by_hand: bool) -> RetentionRun:
    due = await queries.due(session, rule=rule, as_of=day)
    earlier = await queries.last_runs(session, rule=rule.id, limit=_USUAL_OF)
    usual = [run for run in earlier if run.confirmed_at is None]
    most_warnings = _most(rule, [run.warned for run in usual])
    most_erasures = _most(rule, [run.erased for run in usual])
    too_many = sum(due.warnings) > most_warnings or due.erasures > most_erasures
    restores = await outbox.restores(session)
    cause = (
        await _clock_trouble(session)
        or (Cause.RESTORED if await queries.restores_seen(session) < restores else None)
        or (None if by_hand else _silence(rule, earlier, day))
        or (Cause.VOLUME if too_many else None)
    )
    run = _written(rule, day=day, by_hand=by_hand, due=due, cause=cause)
    run.most_warnings, run.most_erasures, run.restores = most_warnings, most_erasures, restores
    session.add(run)
    await session.flush()
    if cause:
        log.error("retention_run_held", rule=rule.id, cause=cause.value, run_id=str(run.id))
    return run


def _written(
    rule: Rule, *, day: date, by_hand: bool, due: Due, cause: Cause | None
) -> RetentionRun:
    return RetentionRun(
        rule=rule.id,
        day=day,
        by_hand=by_hand,
        state=RunState.HELD if cause else RunState.RUNNING,
        cause=cause,
        due_warnings=sum(due.warnings),
        due_erasures=due.erasures,
        started_at=clock.now(),
        most_warnings=0,
        most_erasures=0,
    )


def _most(rule: Rule, volumes: list[int]) -> int:
    mean = sum(volumes) / len(volumes) if volumes else 0
    return max(rule.usual_minimum, round(rule.usual_factor * mean))


async def _clock_trouble(session: AsyncSession) -> Cause | None:
    """Whether the clock was set while this process ran, or the database tells another time."""
    if abs(clock.drift()) > CLOCK_TOLERANCE:
        return Cause.CLOCK_JUMPED
    told = await session.scalar(select(func.clock_timestamp()))
    if told is None or abs(clock.now() - told - clock.rehearsed()) > CLOCK_TOLERANCE:
        return Cause.CLOCKS_DISAGREE
    return None


def _silence(rule: Rule, earlier: Sequence[RetentionRun], day: date) -> Cause | None:
    """Whether the last run is on a later day, or too long ago."""
    if not earlier:
        return None
    if day < earlier[0].day:
        return Cause.CLOCK_BACKWARDS
    if day - earlier[0].day > timedelta(days=rule.silence_days):
        return Cause.LONG_SILENCE
    return None
