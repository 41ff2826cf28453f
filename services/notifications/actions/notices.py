"""Telling people: a notice on the site for each, and a mail that a job sends."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Select,
    Uuid,
    and_,
    case,
    cast,
    delete,
    func,
    literal,
    null,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock
from chassis.auth import Principal
from chassis.db import wake
from chassis.errors import NotFoundError
from chassis.tables import Instant
from services.notifications.models import (
    DELIVERIES_KEPT,
    NOTICES_KEPT,
    Choice,
    Consultation,
    Delivery,
    DeliveryState,
    Kind,
    Membership,
    Notice,
    NoticeVersion,
    Preference,
    Subscription,
    next_mail,
)
from services.notifications.schemas import Frequency

MAIL_BELL = "mail"
NO_ID = cast(null(), Uuid)

Readers = Select[Any, Any, Any]
"""Who is told: rows of person_id, community_id and subscription_id."""


async def announce_consultation(
    session: AsyncSession,
    *,
    consultation_id: UUID,
    community_ids: Sequence[UUID],
    closes_at: datetime,
) -> None:
    """Tell the members of these communities, and write to the subscribed ones: one mail each."""
    await session.execute(
        insert(Consultation)
        .values(id=consultation_id, closes_at=closes_at)
        .on_conflict_do_update(index_elements=["id"], set_={"closes_at": closes_at})
    )
    members = (
        select(
            col(Membership.person_id),
            col(Membership.community_id),
            NO_ID.label("subscription_id"),
        )
        .where(col(Membership.community_id).in_(community_ids))
        .ext(distinct_on(col(Membership.person_id)))
        .order_by(col(Membership.person_id), col(Membership.community_id))
    )
    subscribed: Readers = (
        select(
            col(Subscription.person_id),
            col(Subscription.community_id),
            col(Subscription.id).label("subscription_id"),
        )
        .where(
            col(Subscription.state) == Choice.SUBSCRIBED,
            col(Subscription.community_id).in_(community_ids),
        )
        .ext(distinct_on(col(Subscription.person_id)))
        .order_by(col(Subscription.person_id), col(Subscription.community_id))
    )
    await tell(
        session,
        members,
        mailed=subscribed,
        kind=Kind.CONSULTATION_PUBLISHED,
        target=consultation_id,
    )


async def close_consultation(
    session: AsyncSession, *, consultation_id: UUID, cancelled: bool
) -> None:
    """Send no more mail about it; when it was cancelled there is nothing left to see either."""
    await drop_mails(
        session,
        col(Delivery.kind) == Kind.CONSULTATION_PUBLISHED,
        col(Delivery.target_id) == consultation_id,
    )
    if cancelled:
        await _withdraw(session, kind=Kind.CONSULTATION_PUBLISHED, target=consultation_id)


async def announce_notice_version(
    session: AsyncSession, *, notice_id: UUID, in_force_from: datetime
) -> None:
    """Tell every member about a new version of the data-protection notice (N8.2)."""
    await session.execute(
        insert(NoticeVersion)
        .values(id=notice_id, in_force_from=in_force_from)
        .on_conflict_do_nothing()
    )
    members = (
        select(
            col(Membership.person_id),
            NO_ID.label("community_id"),
            NO_ID.label("subscription_id"),
        )
        .distinct()
        .order_by(col(Membership.person_id))
    )
    await tell(session, members, kind=Kind.NOTICE_PUBLISHED, target=notice_id)


async def tell(
    session: AsyncSession,
    readers: Readers,
    *,
    kind: Kind,
    target: UUID,
    about: UUID | None = None,
    mailed: Readers | None = None,
) -> None:
    """A notice for each reader and a mail to each, or to those of `mailed`; never twice the same,
    and only by the ways that each has chosen for this kind of message.

    Several readers come in the order of their ids: erasures lock people in that order, too, so that
    the two cannot wait for each other.
    """
    now = clock.now()
    same = {
        "kind": literal(kind.value),
        "target_id": literal(target),
        "about_id": literal(about) if about else NO_ID,
        "created_at": literal(now, Instant),
    }
    told, chosen = _who_chose(readers, kind)
    await session.execute(
        insert(Notice)
        .from_select(
            ["person_id", "community_id", *same],
            chosen.add_columns(told.c.person_id, told.c.community_id, *same.values()).where(
                func.coalesce(col(Preference.site), true())
            ),
        )
        .on_conflict_do_nothing()
    )
    told, chosen = _who_chose(readers if mailed is None else mailed, kind)
    due = {
        "state": literal(DeliveryState.DUE.value),
        "attempts": literal(0),
        "due_at": case(
            *(
                (
                    col(Preference.frequency) == frequency,
                    literal(next_mail(frequency, now), Instant),
                )
                for frequency in (Frequency.DAILY, Frequency.WEEKLY)
            ),
            else_=literal(now, Instant),
        ),
    }
    await session.execute(
        insert(Delivery)
        .from_select(
            ["person_id", "community_id", "subscription_id", *same, *due],
            chosen.add_columns(
                told.c.person_id,
                told.c.community_id,
                told.c.subscription_id,
                *same.values(),
                *due.values(),
            ).where(func.coalesce(col(Preference.mail), true())),
        )
        .on_conflict_do_nothing()
    )
    wake(session, MAIL_BELL)


def _who_chose(readers: Readers, kind: Kind) -> tuple[Any, Any]:
    """The readers, beside what each chose about this kind of message, in the order of their ids."""
    told = readers.subquery()
    return told, (
        select()
        .select_from(told)
        .outerjoin(
            Preference,
            and_(
                col(Preference.person_id) == told.c.person_id,
                col(Preference.kind) == kind.value,
            ),
        )
        .order_by(told.c.person_id)
    )


async def settle_request(session: AsyncSession, *, membership_id: UUID) -> None:
    """Nobody needs to answer it any more: what the animators were told goes, and unsent mails."""
    await _withdraw(session, kind=Kind.MEMBERSHIP_REQUESTED, target=membership_id)
    await drop_mails(
        session,
        col(Delivery.kind) == Kind.MEMBERSHIP_REQUESTED,
        col(Delivery.target_id) == membership_id,
    )


async def _withdraw(session: AsyncSession, *, kind: Kind, target: UUID) -> None:
    await session.execute(
        delete(Notice).where(col(Notice.kind) == kind, col(Notice.target_id) == target)
    )


async def drop_mails(session: AsyncSession, *which: Any) -> None:
    """Forget mails that have not gone yet."""
    await session.execute(delete(Delivery).where(col(Delivery.state) == DeliveryState.DUE, *which))


async def mark_read(session: AsyncSession, *, reader: Principal, notice_id: UUID) -> None:
    """Note when the caller first read a notice; raises `NotFoundError` for another one's."""
    notice = await session.get(Notice, notice_id, with_for_update=True)
    if notice is None or notice.person_id != reader.account_id:
        raise NotFoundError
    notice.read_at = notice.read_at or clock.now()


async def sweep(session: AsyncSession) -> None:
    """Forget what has had its time."""
    now = clock.now()
    await session.execute(
        delete(Delivery).where(
            col(Delivery.created_at) < now - DELIVERIES_KEPT,
            col(Delivery.state) != DeliveryState.DUE,
        )
    )
    await session.execute(delete(Notice).where(col(Notice.created_at) < now - NOTICES_KEPT))
    await session.execute(
        delete(Consultation).where(col(Consultation.closes_at) < now - NOTICES_KEPT)
    )
