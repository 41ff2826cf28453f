"""Warnings before an account is deleted: given once, and privacy is told what became of each."""

from datetime import date
from uuid import UUID

from sqlalchemy import delete, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock, outbox, subjects
from contracts.notifications import RetentionWarningSettled, WarningOutcome
from services.notifications.actions.notices import NO_ID, drop_mails, tell
from services.notifications.models import (
    NOTICES_KEPT,
    Delivery,
    DeliveryState,
    Kind,
    Notice,
    RetentionWarning,
)


async def warn(
    session: AsyncSession, *, warning_id: UUID, person_id: UUID, until: date, notice_days: int
) -> None:
    """Write to somebody that their account will be deleted (N3.1); told again, answer again."""
    await subjects.ensure(session, person_id)
    fresh = await session.scalar(
        insert(RetentionWarning)
        .values(id=warning_id, person_id=person_id, until=until, notice_days=notice_days)
        .on_conflict_do_nothing()
        .returning(col(RetentionWarning.id))
    )
    if fresh is None:
        await _answer_again(session, warning_id=warning_id)
        return
    person = select(
        literal(person_id).label("person_id"),
        NO_ID.label("community_id"),
        NO_ID.label("subscription_id"),
    )
    await tell(session, person, mailed=person, kind=Kind.RETENTION_WARNING, target=warning_id)


async def _answer_again(session: AsyncSession, *, warning_id: UUID) -> None:
    row = (
        await session.execute(
            select(RetentionWarning, Delivery)
            .join(Delivery, col(Delivery.target_id) == col(RetentionWarning.id))
            .where(col(RetentionWarning.id) == warning_id)
        )
    ).one_or_none()
    if row is not None and row.Delivery.state != DeliveryState.DUE:
        sent = row.Delivery.state == DeliveryState.SENT
        outcome = WarningOutcome.SENT if sent else WarningOutcome.UNSENT
        _tell_privacy(session, row.RetentionWarning, outcome)


def settle(
    session: AsyncSession,
    warning: RetentionWarning,
    delivery: Delivery,
    *,
    possible: bool,
    on: date,
) -> None:
    """Tell privacy once the mail is over: gone, impossible, or given up."""
    if delivery.state == DeliveryState.DUE:
        return
    warning.until = warning.ends(sent_on=on)
    if delivery.state == DeliveryState.SENT:
        outcome = WarningOutcome.SENT
    else:
        outcome = WarningOutcome.UNSENT if possible else WarningOutcome.UNDELIVERABLE
    _tell_privacy(session, warning, outcome)


def _tell_privacy(
    session: AsyncSession, warning: RetentionWarning, outcome: WarningOutcome
) -> None:
    outbox.publish(
        session,
        RetentionWarningSettled(
            person_id=warning.person_id,
            warning_id=warning.id,
            outcome=outcome,
            kept_until=warning.until,
        ),
    )


async def sweep(session: AsyncSession) -> None:
    """Forget warnings whose day has long passed: the account is kept for another reason."""
    long_ago = (clock.now() - NOTICES_KEPT).date()
    await session.execute(delete(RetentionWarning).where(col(RetentionWarning.until) < long_ago))


async def withdraw(session: AsyncSession, *, person_id: UUID) -> None:
    """The person joined a community: what was said, or was to be said, is not true any more."""
    await drop_mails(
        session,
        col(Delivery.kind) == Kind.RETENTION_WARNING,
        col(Delivery.person_id) == person_id,
    )
    await session.execute(
        delete(Notice).where(
            col(Notice.kind) == Kind.RETENTION_WARNING, col(Notice.person_id) == person_id
        )
    )
    await session.execute(
        delete(RetentionWarning).where(col(RetentionWarning.person_id) == person_id)
    )
