"""The bus door of notifications: what others tell, and what it makes us do."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.inbox import Delivery, Handler
from contracts.base import Event
from contracts.consultations import (
    ConsultationCancelled,
    ConsultationClosed,
    ConsultationPublished,
)
from contracts.directory import (
    AnimatorAppointed,
    AnimatorDismissed,
    CommunityOpened,
    MembershipEnded,
    MembershipGranted,
    MembershipRefused,
    MembershipRequested,
)
from contracts.privacy import NoticePublished, ProcessingObjected, RetentionWarningDue
from services.notifications.actions import memberships, notices, preferences, warnings


async def community_opened(session: AsyncSession, event: CommunityOpened, _: Delivery) -> None:
    await memberships.open_community(
        session, community_id=event.community_id, slug=event.slug, cci=event.cci
    )


async def animator_appointed(session: AsyncSession, event: AnimatorAppointed, _: Delivery) -> None:
    await memberships.appoint_animator(
        session, community_id=event.community_id, person_id=event.person_id
    )


async def animator_dismissed(session: AsyncSession, event: AnimatorDismissed, _: Delivery) -> None:
    await memberships.dismiss_animator(
        session, community_id=event.community_id, person_id=event.person_id
    )


async def membership_requested(
    session: AsyncSession, event: MembershipRequested, _: Delivery
) -> None:
    await memberships.request_membership(
        session,
        membership_id=event.membership_id,
        person_id=event.person_id,
        community_id=event.community_id,
    )


async def membership_granted(session: AsyncSession, event: MembershipGranted, _: Delivery) -> None:
    await memberships.grant_membership(
        session,
        membership_id=event.membership_id,
        person_id=event.person_id,
        community_id=event.community_id,
    )


async def membership_refused(session: AsyncSession, event: MembershipRefused, _: Delivery) -> None:
    await memberships.refuse_membership(
        session,
        membership_id=event.membership_id,
        person_id=event.person_id,
        community_id=event.community_id,
    )


async def membership_ended(session: AsyncSession, event: MembershipEnded, _: Delivery) -> None:
    await memberships.end_membership(
        session,
        membership_id=event.membership_id,
        person_id=event.person_id,
        community_id=event.community_id,
    )


async def consultation_published(
    session: AsyncSession, event: ConsultationPublished, _: Delivery
) -> None:
    await notices.announce_consultation(
        session,
        consultation_id=event.consultation_id,
        community_ids=event.community_ids,
        closes_at=event.closes_at,
    )


async def consultation_closed(
    session: AsyncSession, event: ConsultationClosed, _: Delivery
) -> None:
    await notices.close_consultation(
        session, consultation_id=event.consultation_id, cancelled=False
    )


async def consultation_cancelled(
    session: AsyncSession, event: ConsultationCancelled, _: Delivery
) -> None:
    await notices.close_consultation(session, consultation_id=event.consultation_id, cancelled=True)


async def notice_published(session: AsyncSession, event: NoticePublished, _: Delivery) -> None:
    await notices.announce_notice_version(
        session, notice_id=event.notice_id, in_force_from=event.in_force_from
    )


async def retention_warning_due(
    session: AsyncSession, event: RetentionWarningDue, _: Delivery
) -> None:
    await warnings.warn(
        session,
        warning_id=event.warning_id,
        person_id=event.person_id,
        until=event.kept_until,
        notice_days=event.notice_days,
    )


async def processing_objected(
    session: AsyncSession, event: ProcessingObjected, _: Delivery
) -> None:
    await preferences.refuse_all(session, person_id=event.person_id)


HANDLERS: Mapping[type[Event], Handler[Any]] = {
    CommunityOpened: community_opened,
    AnimatorAppointed: animator_appointed,
    AnimatorDismissed: animator_dismissed,
    MembershipRequested: membership_requested,
    MembershipGranted: membership_granted,
    MembershipRefused: membership_refused,
    MembershipEnded: membership_ended,
    ConsultationPublished: consultation_published,
    ConsultationClosed: consultation_closed,
    ConsultationCancelled: consultation_cancelled,
    NoticePublished: notice_published,
    RetentionWarningDue: retention_warning_due,
    ProcessingObjected: processing_objected,
}
