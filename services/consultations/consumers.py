"""The facts of directory that consultations keeps: who acts for whom, who belongs where."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.inbox import Delivery, Handler, Together
from contracts.base import Event
from contracts.directory import (
    AnimatorAppointed,
    AnimatorDismissed,
    CommunityOpened,
    CompanyUnlisted,
    MembershipEnded,
    MembershipGranted,
    PersonAttached,
    PersonDetached,
)
from services.consultations.actions import facts


async def attached(session: AsyncSession, event: PersonAttached, _: Delivery) -> None:
    """Somebody may create consultations or reply for a company."""
    await facts.attach(
        session, person_id=event.person_id, company_id=event.company_id, role=event.role
    )


async def detached(session: AsyncSession, event: PersonDetached, _: Delivery) -> None:
    """And no longer."""
    await facts.detach(session, person_id=event.person_id, company_id=event.company_id)


async def community_opened(session: AsyncSession, event: CommunityOpened, _: Delivery) -> None:
    """Consultations may be addressed to it."""
    await facts.open_community(session, id=event.community_id, slug=event.slug, cci=event.cci)


async def appointed(session: AsyncSession, event: AnimatorAppointed, _: Delivery) -> None:
    """Somebody reads the consultations of the community that they run."""
    await facts.appoint(session, person_id=event.person_id, community_id=event.community_id)


async def dismissed(session: AsyncSession, event: AnimatorDismissed, _: Delivery) -> None:
    """And no longer."""
    await facts.dismiss(session, person_id=event.person_id, community_id=event.community_id)


async def granted(session: AsyncSession, event: MembershipGranted, _: Delivery) -> None:
    """Somebody reads the consultations of a community, and replies to them (N1.4)."""
    await facts.grant(
        session,
        id=event.membership_id,
        person_id=event.person_id,
        company_id=event.company_id,
        community_id=event.community_id,
    )


async def ended(session: AsyncSession, event: MembershipEnded, _: Delivery) -> None:
    """And no longer."""
    await facts.end_membership(session, id=event.membership_id)


async def unlisted(session: AsyncSession, events: Sequence[CompanyUnlisted]) -> None:
    """What was open of a company ends with it; many end when many people are erased."""
    await facts.companies_left(session, company_ids=[event.company_id for event in events])


HANDLERS: Mapping[type[Event], Handler[Any]] = {
    PersonAttached: attached,
    PersonDetached: detached,
    CommunityOpened: community_opened,
    AnimatorAppointed: appointed,
    AnimatorDismissed: dismissed,
    MembershipGranted: granted,
    MembershipEnded: ended,
    CompanyUnlisted: Together(unlisted),
}
