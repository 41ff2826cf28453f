"""What keeps an account, what warns its owner, and what ends it.

Nobody is deleted who joined a community before their last day was over: erasures go by the day up to
which the directory has told of every new member, not by a clock of ours, and the row of the account is
locked and read again in the transaction that asks for the erasure.
"""

import json
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock, outbox, subjects
from chassis.db import wake
from chassis.ids import new_id
from contracts.directory import AnimatorAppointed, MembershipGranted
from contracts.identity import RolesChanged
from contracts.notifications import WarningOutcome
from contracts.privacy import MAX_BATCH, Reason, RetentionWarningDue
from services.privacy.actions.broadcasts import Wish, request_erasures
from services.privacy.models import MembershipsHeard, Retention, RetentionRun
from services.privacy.models.deadlines import day_of
from services.privacy.queries.retention import erasure_batch, today, warning_batch
from services.privacy.reference.retention import Rule

RETENTION_BELL = "retention"
_KEEPS = (MembershipGranted, AnimatorAppointed, RolesChanged)
"""Events that keep an account; while one of them cannot be applied, whoever it names is spared."""


async def open_account(session: AsyncSession, *, person_id: UUID, opened_at: datetime) -> None:
    """The period begins (N3.1)."""
    await _know(session, person_id=person_id, opened_on=day_of(opened_at))


async def join(session: AsyncSession, *, person_id: UUID) -> None:
    """Somebody belongs to a community, or runs one: no rule ends their account any more."""
    await _know(
        session,
        person_id=person_id,
        joined_on=today(),
        warnings=0,
        until=None,
        warning_id=None,
        asked_on=None,
    )


async def set_role(session: AsyncSession, *, person_id: UUID, holds_role: bool) -> None:
    """Whoever works on the platform keeps the account; the period counts again once they do not."""
    await _know(
        session,
        person_id=person_id,
        holds_role=holds_role,
        warnings=0,
        until=None,
        warning_id=None,
        asked_on=None,
    )


async def _know(session: AsyncSession, *, person_id: UUID, **facts: Any) -> None:
    """Write down facts, in whatever order they come from their services."""
    await subjects.ensure(session, person_id)
    await session.execute(
        insert(Retention)
        .values(**{"person_id": person_id, "warnings": 0, "holds_role": False, **facts})
        .on_conflict_do_update(index_elements=["person_id"], set_=facts)
    )


async def hear_memberships(session: AsyncSession, *, service: str, until: datetime) -> None:
    """Every membership before that instant is known here now.

    An earlier instant changes nothing, unless a clock that was wrong has told of the future.
    """
    known = insert(MembershipsHeard).values(service=service, until=until)
    await session.execute(
        known.on_conflict_do_update(
            index_elements=["service"],
            set_={"until": known.excluded.until},
            where=(col(MembershipsHeard.until) < known.excluded.until)
            | (col(MembershipsHeard.until) > clock.now()),
        )
    )
    wake(session, RETENTION_BELL)


async def settle_warning(
    session: AsyncSession,
    *,
    person_id: UUID,
    warning_id: UUID,
    outcome: WarningOutcome,
    kept_until: date,
) -> None:
    """What became of a warning. One that can reach nobody counts: the promise to delete is older."""
    account = await session.get(Retention, person_id, with_for_update=True)
    if account is None or account.warning_id != warning_id:
        return
    if outcome is WarningOutcome.UNSENT:
        account.unsent()
    else:
        account.warned(until=kept_until)


async def warn(session: AsyncSession, *, run: RetentionRun, rule: Rule) -> int:
    """Ask for the next warnings of a run; returns how many, 0 when there are no more."""
    limit = min(MAX_BATCH, run.due_warnings - run.warned)
    day = max(run.day, today())
    for number, days in enumerate(rule.notices_days):
        found = await session.scalars(warning_batch(rule, number=number, day=run.day, limit=limit))
        accounts = found.all()
        for account in accounts:
            ends = account.ends(rule, warned_on=day)
            if ends is not None:
                outbox.publish(
                    session,
                    RetentionWarningDue(
                        warning_id=account.ask(today=day),
                        person_id=account.person_id,
                        rule=rule.id,
                        kept_until=ends,
                        notice_days=days,
                    ),
                )
        if accounts:
            run.warned += len(accounts)
            return len(accounts)
    return 0


async def erase(
    session: AsyncSession, *, run: RetentionRun, rule: Rule, after: tuple[date, UUID] | None
) -> tuple[date, UUID] | None:
    """Ask for the next erasures of a run; returns where to go on, None when there are no more."""
    limit = min(MAX_BATCH, run.due_erasures - run.erased)
    found = await session.scalars(erasure_batch(rule, day=run.day, after=after, limit=limit))
    accounts = found.all()
    if not accounts:
        return None
    spared = await _named_by_stuck_events(session)
    now = clock.now()
    wishes = [
        Wish(
            erasure_id=new_id(),
            subject_id=account.person_id,
            reason=Reason.RETENTION,
            requested_at=now,
        )
        for account in accounts
        if account.person_id not in spared
    ]
    await request_erasures(session, wishes)
    run.erased += len(wishes)
    run.spared += len(accounts) - len(wishes)
    last = accounts[-1]
    return (last.until, last.person_id) if last.until else None


async def _named_by_stuck_events(session: AsyncSession) -> set[UUID]:
    """People whom an event names that came and could not be applied: it may keep their account."""
    kinds = {event.event_type(): event for event in _KEEPS}
    rows = await session.execute(
        text(
            "SELECT type, body FROM inbox"
            " WHERE state IN ('waiting', 'dead', 'parked') AND type = ANY(:types)"
        ),
        {"types": list(kinds)},
    )
    named: set[UUID] = set()
    for kind, body in rows:
        data = json.loads(body)["data"]
        for name in kinds[kind].person_fields():
            try:
                named.add(UUID(str(data[name])))
            except (KeyError, TypeError, ValueError):  # against its schema: it names nobody
                continue
    return named
