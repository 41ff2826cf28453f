"""What retention is about to do, what it did, and until when somebody is kept.

What is due stands at the beginning of an index: every read here costs what it finds, not what exists.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, literal_column, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock
from chassis.auth import Principal
from services.privacy.models import Erasure, MembershipsHeard, Retention, RetentionRun
from services.privacy.models.deadlines import day_of
from services.privacy.models.retention import (
    ASK_AGAIN_AFTER,
    CLOCK_TOLERANCE,
    Due,
    RunState,
    opened_by,
)
from services.privacy.reference.retention import Rule

Condition = ColumnElement[bool]
Place = tuple[int, date, UUID]
"""Warnings received, opening day or last day, person: the order of a plan, and its cursor."""


def due_for_warning(rule: Rule, *, number: int, day: date) -> Condition:
    """Who is to get that warning (from 0) on that day, or should have had it before."""
    return and_(
        _at(rule, warnings=number, until=day + timedelta(days=rule.notices_days[number])),
        _not_asked(day),
        _stays(),
    )


def due_for_erasure(rule: Rule, *, day: date) -> Condition:
    """Who has had every warning and whose last day is before that day, by what they were told and
    by the rule as it stands.
    """
    return and_(
        _at(rule, warnings=len(rule.notices_days), until=day - timedelta(days=1)),
        col(Retention.opened_on) <= opened_by(day - timedelta(days=1), months=rule.months),
        _stays(),
    )


def warning_batch(rule: Rule, *, number: int, day: date, limit: int) -> Select[Retention]:
    """The next who are to get that warning, locked.

    Whoever is locked already is joining, or being erased: not our business today.
    """
    key: Any = col(Retention.until) if number else col(Retention.opened_on)
    return (
        select(Retention)
        .where(due_for_warning(rule, number=number, day=day))
        .order_by(key, col(Retention.person_id))
        .limit(limit)
        .with_for_update(skip_locked=True, of=Retention)
    )


def erasure_batch(
    rule: Rule, *, day: date, after: tuple[date, UUID] | None, limit: int
) -> Select[Retention]:
    """The next whose time is over, locked."""
    key = tuple_(col(Retention.until), col(Retention.person_id))
    statement = select(Retention).where(due_for_erasure(rule, day=day))
    if after is not None:
        statement = statement.where(key > after)
    return (
        statement.order_by(col(Retention.until), col(Retention.person_id))
        .limit(limit)
        .with_for_update(skip_locked=True, of=Retention)
    )


def _at(rule: Rule, *, warnings: int, until: date) -> Condition:
    """Accounts with so many warnings that are kept until that day at most.

    The numbers are literals: PostgreSQL must see that a partial index has these rows.
    """
    ends = (
        col(Retention.opened_on) <= opened_by(until, months=rule.months)
        if warnings == 0
        else and_(literal_column("retention.warnings > 0"), col(Retention.until) <= until)
    )
    return and_(
        col(Retention.warnings) == literal_column(str(warnings)),
        literal_column("retention.joined_on IS NULL"),
        literal_column("NOT retention.holds_role"),
        ends,
    )


def _not_asked(day: date) -> Condition:
    return or_(col(Retention.asked_on).is_(None), col(Retention.asked_on) <= day - ASK_AGAIN_AFTER)


def _stays() -> Condition:
    """Nobody is erasing the person already, whatever door that came through."""
    return ~(
        select(col(Erasure.erasure_id))
        .where(
            col(Erasure.subject_id) == col(Retention.person_id),
            col(Erasure.completed_at).is_(None),
        )
        .exists()
    )


async def heard_until(session: AsyncSession) -> date | None:
    """The day up to whose beginning every new member is known.

    None before the first word of it, and while the last word is of the future: a clock is wrong.
    """
    until = await session.scalar(select(func.min(col(MembershipsHeard.until))))
    return day_of(until) if until and until <= clock.now() + CLOCK_TOLERANCE else None


async def due(session: AsyncSession, *, rule: Rule, as_of: date) -> Due:
    """What will have been done by that day if every run does its work and nobody joins.

    For today: what today's run does. A late warning moves what follows it, so that nobody is deleted
    sooner after a warning than the rule says.
    """
    base, notices = min(as_of, today()), rule.notices_days
    warnings = []
    for number, days in enumerate(notices):
        found = 0
        for received in range(number + 1):
            if as_of >= base + timedelta(days=notices[received] - days):
                until = as_of + timedelta(days=days)
                found += await _count(
                    session, _at(rule, warnings=received, until=until), _not_asked(as_of), _stays()
                )
        warnings.append(found)
    erasures = await _count(session, due_for_erasure(rule, day=as_of))
    for received, days in enumerate(notices):
        if as_of > base + timedelta(days=days):
            until = as_of - timedelta(days=1)
            erasures += await _count(
                session, _at(rule, warnings=received, until=until), _not_asked(as_of), _stays()
            )
    return Due(warnings=tuple(warnings), erasures=erasures)


async def _count(session: AsyncSession, *which: Condition) -> int:
    counted = select(func.count()).select_from(Retention).where(*which)
    return int(await session.scalar(counted) or 0)


class Planned(NamedTuple):
    """Somebody whom a plan concerns, and where they stand in it."""

    account: Retention
    place: Place


async def planned(
    session: AsyncSession, *, rule: Rule, as_of: date, after: Place | None, limit: int
) -> list[Planned]:
    """Those to whom something happens by that day: whoever has had most warnings first."""
    found: list[Planned] = []
    for warnings in reversed(range(len(rule.notices_days) + 1)):
        if (after is not None and warnings > after[0]) or len(found) >= limit:
            continue
        key: Any = col(Retention.until) if warnings else col(Retention.opened_on)
        which = (
            due_for_erasure(rule, day=as_of)
            if warnings == len(rule.notices_days)
            else due_for_warning(rule, number=warnings, day=as_of)
        )
        statement = select(Retention).where(which)
        if after is not None and warnings == after[0]:
            statement = statement.where(tuple_(key, col(Retention.person_id)) > after[1:])
        rows = await session.scalars(
            statement.order_by(key, col(Retention.person_id)).limit(limit - len(found))
        )
        for row in rows:
            day = row.until if warnings else row.opened_on
            if day is not None:
                found.append(Planned(row, (warnings, day, row.person_id)))
    return found


async def unsettled(session: AsyncSession, *, rule: Rule) -> int:
    """Warnings that were asked for and have not gone yet, as far as we were told."""
    return sum(
        [
            await _count(
                session,
                _at(rule, warnings=number, until=today() + timedelta(days=days)),
                col(Retention.warning_id).is_not(None),
            )
            for number, days in enumerate(rule.notices_days)
        ]
    )


async def run(session: AsyncSession, *, run_id: UUID) -> RetentionRun | None:
    """A run."""
    return await session.get(RetentionRun, run_id)


async def runs(
    session: AsyncSession, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[RetentionRun]:
    """The runs, newest first."""
    key = tuple_(col(RetentionRun.started_at), col(RetentionRun.id))
    statement = select(RetentionRun).order_by(key.desc()).limit(limit)
    if after is not None:
        statement = statement.where(key < after)
    return (await session.scalars(statement)).all()


async def open_run(session: AsyncSession, *, rule: str) -> RetentionRun | None:
    """The run of a rule that is held or under way, held by this transaction; there is one at most."""
    found: RetentionRun | None = await session.scalar(
        select(RetentionRun)
        .where(col(RetentionRun.rule) == rule, col(RetentionRun.finished_at).is_(None))
        .with_for_update()
    )
    return found


async def run_of_day(session: AsyncSession, *, rule: str, day: date) -> RetentionRun | None:
    """The rule's own run of that day, if it has had one."""
    found: RetentionRun | None = await session.scalar(
        select(RetentionRun).where(
            col(RetentionRun.rule) == rule,
            col(RetentionRun.day) == day,
            ~col(RetentionRun.by_hand),
            col(RetentionRun.state) != RunState.SUPERSEDED,
        )
    )
    return found


async def last_runs(session: AsyncSession, *, rule: str, limit: int) -> Sequence[RetentionRun]:
    """The newest runs that the rule itself began and that are over, newest first."""
    found = await session.scalars(
        select(RetentionRun)
        .where(
            col(RetentionRun.rule) == rule,
            col(RetentionRun.state) == RunState.FINISHED,
            ~col(RetentionRun.by_hand),
        )
        .order_by(col(RetentionRun.started_at).desc())
        .limit(limit)
    )
    return found.all()


async def restores_seen(session: AsyncSession) -> int:
    """The restores that a run had behind it which was let through, by the breaker or the DPO."""
    seen = await session.scalar(
        select(func.max(col(RetentionRun.restores))).where(
            col(RetentionRun.state).in_([RunState.RUNNING, RunState.FINISHED])
        )
    )
    return seen or 0


async def own_retention(session: AsyncSession, *, viewer: Principal) -> Retention | None:
    """What retention knows of the caller."""
    return await session.get(Retention, viewer.account_id)


def today() -> date:
    """The present day in Paris."""
    return day_of(clock.now())
