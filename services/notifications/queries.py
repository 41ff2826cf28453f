"""Reads of notifications; who asks is a required parameter."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import and_, exists, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock
from chassis.auth import Principal
from services.notifications.models import (
    Choice,
    Community,
    Consultation,
    Delivery,
    DeliveryState,
    Kind,
    Membership,
    Notice,
    NoticeVersion,
    Preference,
    RetentionWarning,
    Subscription,
)
from services.notifications.schemas import Frequency, SubscriptionView


async def own_subscriptions(session: AsyncSession, *, viewer: Principal) -> list[SubscriptionView]:
    """The newsletters of the caller's communities (N4.2)."""
    rows = await session.execute(
        select(col(Subscription.community_id), col(Community.slug), col(Subscription.state))
        .outerjoin(Community, col(Community.id) == col(Subscription.community_id))
        .where(
            col(Subscription.person_id) == viewer.account_id,
            exists().where(
                col(Membership.person_id) == col(Subscription.person_id),
                col(Membership.community_id) == col(Subscription.community_id),
            ),
        )
        .order_by(col(Community.slug), col(Subscription.community_id))
    )
    return [
        SubscriptionView(
            community_id=community_id, slug=slug, subscribed=state == Choice.SUBSCRIBED
        )
        for community_id, slug, state in rows
    ]


async def communities_of(session: AsyncSession, *, viewer: Principal) -> set[UUID]:
    """The communities that the caller belongs to."""
    found = await session.scalars(
        select(col(Membership.community_id)).where(col(Membership.person_id) == viewer.account_id)
    )
    return set(found)


async def own_notices(
    session: AsyncSession,
    *,
    viewer: Principal,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[tuple[Notice, str | None]]:
    """One more than `limit` notices of the caller, newest first, with the slug of their community."""
    found = (
        select(Notice, col(Community.slug))
        .outerjoin(Community, col(Community.id) == col(Notice.community_id))
        .where(col(Notice.person_id) == viewer.account_id)
        .order_by(col(Notice.created_at).desc(), col(Notice.id).desc())
        .limit(limit + 1)
    )
    if after is not None:
        found = found.where(tuple_(col(Notice.created_at), col(Notice.id)) < after)
    return [(notice, slug) for notice, slug in await session.execute(found)]


async def subscription_behind(
    session: AsyncSession, *, subscription_id: UUID
) -> tuple[str | None, bool] | None:
    """Slug and state of a subscription, for whoever holds its token; None when it is gone."""
    row = (
        await session.execute(
            select(col(Community.slug), col(Subscription.state))
            .select_from(Subscription)
            .outerjoin(Community, col(Community.id) == col(Subscription.community_id))
            .where(col(Subscription.id) == subscription_id)
        )
    ).one_or_none()
    return None if row is None else (row.slug, row.state == Choice.SUBSCRIBED)


async def due_deliveries(session: AsyncSession, *, limit: int) -> Sequence[tuple[UUID, UUID]]:
    """Ids and people of the mails to send now, the longest waiting first."""
    rows = await session.execute(
        select(col(Delivery.id), col(Delivery.person_id))
        .where(col(Delivery.due_at) <= clock.now())
        .order_by(col(Delivery.due_at))
        .limit(limit)
    )
    return [(delivery_id, person_id) for delivery_id, person_id in rows]


class Claimed(NamedTuple):
    """A mail that this transaction alone may send, with what it says."""

    delivery: Delivery
    slug: str | None
    closes_at: datetime | None
    in_force_from: datetime | None
    warning: RetentionWarning | None


def _with_words() -> Any:
    return (
        select(
            Delivery,
            col(Community.slug),
            col(Consultation.closes_at),
            col(NoticeVersion.in_force_from),
            RetentionWarning,
        )
        .outerjoin(Community, col(Community.id) == col(Delivery.community_id))
        .outerjoin(Consultation, col(Consultation.id) == col(Delivery.target_id))
        .outerjoin(NoticeVersion, col(NoticeVersion.id) == col(Delivery.target_id))
        .outerjoin(RetentionWarning, col(RetentionWarning.id) == col(Delivery.target_id))
        .where(col(Delivery.state) == DeliveryState.DUE)
        .with_for_update(of=Delivery, skip_locked=True)
    )


async def claim_delivery(session: AsyncSession, *, delivery_id: UUID) -> Claimed | None:
    """Lock a mail that is due; None when it is no longer, or when somebody else has it."""
    row = (
        await session.execute(_with_words().where(col(Delivery.id) == delivery_id))
    ).one_or_none()
    return None if row is None else Claimed(*row)


async def claim_others(session: AsyncSession, *, first: Delivery, limit: int) -> list[Claimed]:
    """Lock what goes into the same mail: nothing, unless its reader wants such mails gathered."""
    rows = await session.execute(
        _with_words()
        .join(
            Preference,
            and_(
                col(Preference.person_id) == col(Delivery.person_id),
                col(Preference.kind) == col(Delivery.kind),
            ),
        )
        .where(
            col(Preference.frequency) != Frequency.AT_ONCE,
            col(Delivery.person_id) == first.person_id,
            col(Delivery.kind) == first.kind,
            col(Delivery.id) != first.id,
            col(Delivery.due_at) <= clock.now(),
        )
        .order_by(col(Delivery.created_at), col(Delivery.id))
        .limit(limit)
    )
    return [Claimed(*row) for row in rows]


async def own_preferences(session: AsyncSession, *, viewer: Principal) -> dict[Kind, Preference]:
    """What the caller chose, by kind; a kind that is not there comes by every way, at once."""
    found = await session.scalars(
        select(Preference).where(col(Preference.person_id) == viewer.account_id)
    )
    return {Kind(chosen.kind): chosen for chosen in found}
