"""Telling the DPO of steps that stay open: at each quarter of their time, once, in few mails."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock
from chassis.db import wake
from chassis.tables import Instant
from services.privacy.models import LEVELS, Escalation, EscalationMail, Step

ESCALATION_BELL = "escalation"
AT_ONCE = 5_000
"""Steps in one statement."""
ONE_MAIL_EVERY = timedelta(hours=4)
"""Quarters are six hours at least, for a partner that has one day: each is told before the next."""

_ESCALATE = text(
    """
    WITH due AS (
        SELECT step.erasure_id, step.participant, step.due_by, step.escalated, broadcast.reserved_at
        FROM step JOIN broadcast ON broadcast.position = step.position
        WHERE step.outcome IS NULL AND step.escalate_at <= :now
        ORDER BY step.escalate_at LIMIT :at_once
        FOR UPDATE OF step SKIP LOCKED
    ), quarter AS (
        SELECT due.erasure_id, due.participant, due.escalated, level,
               due.reserved_at + (due.due_by - due.reserved_at) * level / :levels AS at
        FROM due, generate_series(1, :levels) AS level
    ), moved AS (
        UPDATE step SET escalated = found.reached, escalate_at = found.next
        FROM (
            SELECT erasure_id, participant,
                   coalesce(max(level) FILTER (WHERE at <= :now), 0) AS reached,
                   min(at) FILTER (WHERE at > :now) AS next
            FROM quarter GROUP BY erasure_id, participant
        ) AS found
        WHERE step.erasure_id = found.erasure_id AND step.participant = found.participant
    ), told AS (
        INSERT INTO escalation (erasure_id, participant, level, escalated_at)
        SELECT erasure_id, participant, level, :now
        FROM quarter WHERE at <= :now AND level > escalated
        RETURNING level
    )
    SELECT (SELECT count(*) FROM due), (SELECT count(*) FROM told)
    """
).bindparams(bindparam("now", type_=Instant))


@dataclass(frozen=True)
class Overdue:
    """How many steps of a participant have reached a level, and the first of their deadlines."""

    participant: str
    level: int
    steps: int
    due_by: datetime


async def escalate(session: AsyncSession) -> tuple[int, int]:
    """Note the quarters that are over; returns how many steps were looked at, and how many told of."""
    row = (
        await session.execute(_ESCALATE, {"now": clock.now(), "at_once": AT_ONCE, "levels": LEVELS})
    ).one()
    if row[1]:
        wake(session, ESCALATION_BELL)
    return row[0], row[1]


async def compose(session: AsyncSession) -> None:
    """Gather what is untold into one mail, unless one was written in the last hours or is still unsent."""
    untold = select(col(Escalation.erasure_id)).where(col(Escalation.mail_id).is_(None)).limit(1)
    if await session.scalar(untold) is None:
        return
    now = clock.now()
    recent = select(EscalationMail).where(
        col(EscalationMail.sent_at).is_(None)
        | col(EscalationMail.composed_at).between(now - ONE_MAIL_EVERY, now)
    )
    if await session.scalar(recent.limit(1)) is not None:
        return
    mail = EscalationMail(composed_at=now, due_at=now)
    session.add(mail)
    await session.flush()
    await session.execute(
        update(Escalation).where(col(Escalation.mail_id).is_(None)).values(mail_id=mail.mail_id)
    )


async def next_mail(session: AsyncSession) -> tuple[EscalationMail, Sequence[Overdue]] | None:
    """The mail to send now with what it tells, held by this transaction."""
    mail: EscalationMail | None = await session.scalar(
        select(EscalationMail)
        .where(col(EscalationMail.sent_at).is_(None), col(EscalationMail.due_at) <= clock.now())
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return None if mail is None else (mail, await _told_by(session, mail.mail_id))


async def _told_by(session: AsyncSession, mail_id: UUID) -> Sequence[Overdue]:
    rows = await session.execute(
        select(
            col(Escalation.participant),
            col(Escalation.level),
            func.count(),
            func.min(col(Step.due_by)),
        )
        .join(
            Step,
            (col(Step.erasure_id) == col(Escalation.erasure_id))
            & (col(Step.participant) == col(Escalation.participant)),
        )
        .where(col(Escalation.mail_id) == mail_id)
        .group_by(col(Escalation.participant), col(Escalation.level))
        .order_by(col(Escalation.level).desc(), col(Escalation.participant))
    )
    return [Overdue(*row) for row in rows]


def sent(mail: EscalationMail) -> None:
    """The mail server has accepted it."""
    mail.sent_at = clock.now()


def postpone(mail: EscalationMail) -> None:
    """The mail server did not take it; try again, less and less often."""
    mail.attempts += 1
    mail.due_at = clock.now() + timedelta(seconds=min(5 * 2**mail.attempts, 3600))
