"""Communities, the people who run them, and memberships."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock, outbox, subjects
from chassis.errors import ForbiddenError, NotFoundError
from chassis.tables import outbox as outbox_rows
from contracts.directory import (
    AnimatorAppointed,
    AnimatorDismissed,
    CommunityOpened,
    MembershipEnded,
    MembershipGranted,
    MembershipRefused,
    MembershipRequested,
    MembershipsTold,
)
from services.directory.errors import NotAttachedError, SlugTakenError
from services.directory.models import (
    LIVE,
    Attachment,
    AttachmentState,
    CciAgent,
    Community,
    CommunityAnimator,
    Company,
    DecisionRole,
    Membership,
    MembershipState,
)
from services.directory.queries import communities as reads
from services.directory.queries.viewers import Viewer
from services.directory.schemas.communities import CommunityForm

_LONGEST_TRANSACTION = timedelta(minutes=10)
"""What is not committed by then never will be: requests, handlers and statements end before."""


async def tell_memberships(session: AsyncSession) -> None:
    """Say until when every new member and animator has been told of.

    An event leaves the outbox once the broker has it in its queues; what is said now comes behind it.
    """
    joining = [event.routing_key() for event in (MembershipGranted, AnimatorAppointed)]
    oldest = await session.scalar(
        select(func.min(outbox_rows.c.created_at)).where(outbox_rows.c.routing_key.in_(joining))
    )
    settled = clock.now() - _LONGEST_TRANSACTION
    outbox.publish(session, MembershipsTold(until=min(oldest, settled) if oldest else settled))


async def open_community(session: AsyncSession, *, community_id: UUID, form: CommunityForm) -> None:
    """Open a community (N1.1); raises `SlugTakenError`."""
    values = {**form.model_dump(), "cci_name": form.cci_name or form.cci}
    opened = await session.scalar(
        insert(Community)
        .values(id=community_id, opened_at=clock.now(), **values)
        .on_conflict_do_nothing(index_elements=["slug"])
        .returning(col(Community.id))
    )
    if opened is None:
        raise SlugTakenError("Choisissez une autre adresse (slug).")
    outbox.publish(
        session, CommunityOpened(community_id=community_id, slug=form.slug, cci=form.cci)
    )


async def _appointable(session: AsyncSession, *, key: str, viewer: Viewer) -> Community:
    community = await reads.community_row(session, key=key)
    if not viewer.appoints(community):
        raise ForbiddenError("Réservé aux conseillers de la CCI de cette communauté.")
    return community


async def appoint_animator(
    session: AsyncSession, *, key: str, person_id: UUID, viewer: Viewer
) -> None:
    """Let a person run a community. Raises `NotFoundError`, `ForbiddenError`."""
    community = await _appointable(session, key=key, viewer=viewer)
    await subjects.ensure(session, person_id)
    appointed = await session.scalar(
        insert(CommunityAnimator)
        .values(community_id=community.id, person_id=person_id)
        .on_conflict_do_nothing()
        .returning(col(CommunityAnimator.person_id))
    )
    if appointed is not None:
        outbox.publish(session, AnimatorAppointed(community_id=community.id, person_id=person_id))


async def dismiss_animator(
    session: AsyncSession, *, key: str, person_id: UUID, viewer: Viewer
) -> None:
    """Take a community out of a person's hands. Raises `NotFoundError`, `ForbiddenError`."""
    community = await _appointable(session, key=key, viewer=viewer)
    dismissed = await session.scalar(
        delete(CommunityAnimator)
        .where(
            col(CommunityAnimator.community_id) == community.id,
            col(CommunityAnimator.person_id) == person_id,
        )
        .returning(col(CommunityAnimator.person_id))
    )
    if dismissed is None:
        raise NotFoundError
    outbox.publish(session, AnimatorDismissed(community_id=community.id, person_id=person_id))


async def assign_agent(session: AsyncSession, *, person_id: UUID, cci: str) -> None:
    """Let a person work for a chamber; nothing changes when they do already."""
    await subjects.ensure(session, person_id)
    await session.execute(
        insert(CciAgent).values(person_id=person_id, cci=cci).on_conflict_do_nothing()
    )


async def release_agent(session: AsyncSession, *, person_id: UUID, cci: str) -> None:
    """The person no longer works for that chamber; raises `NotFoundError` if they never did."""
    released = await session.scalar(
        delete(CciAgent)
        .where(col(CciAgent.person_id) == person_id, col(CciAgent.cci) == cci)
        .returning(col(CciAgent.person_id))
    )
    if released is None:
        raise NotFoundError


async def join(
    session: AsyncSession,
    *,
    membership_id: UUID,
    key: str,
    person_id: UUID,
    company_id: UUID,
    answers: dict[str, Any] | None,
) -> tuple[Membership, bool]:
    """Join a community for a company, at once where joining is open, else pending.

    Returns the membership, and False when there was one already. Raises `NotFoundError` for an
    unknown community and `NotAttachedError` unless the person acts for the company.
    """
    community = await reads.community_row(session, key=key)
    # The company stays while this is written: it cannot go with its last owner meanwhile.
    attached = await session.scalar(
        select(Attachment)
        .join(Company, col(Company.id) == col(Attachment.company_id))
        .where(
            col(Attachment.company_id) == company_id,
            col(Attachment.person_id) == person_id,
            col(Attachment.state) == AttachmentState.ACTIVE,
        )
        .with_for_update(of=(Company, Attachment), read=True, key_share=True)
    )
    if attached is None:
        raise NotAttachedError("Faites-vous d'abord rattacher à l'entreprise.")
    now = clock.now()
    state = MembershipState.ACTIVE if community.open_joining else MembershipState.PENDING
    joined = await session.scalar(
        insert(Membership)
        .values(
            id=membership_id,
            person_id=person_id,
            company_id=company_id,
            community_id=community.id,
            state=state,
            answers=answers,
            requested_at=now,
            decided_at=now if community.open_joining else None,
        )
        .on_conflict_do_nothing()
        .returning(Membership)
    )
    if joined is None:
        return await _present(session, person_id, company_id, community.id), False
    fact = MembershipGranted if community.open_joining else MembershipRequested
    outbox.publish(
        session,
        fact(
            membership_id=membership_id,
            person_id=person_id,
            company_id=company_id,
            community_id=community.id,
        ),
    )
    return joined, True


async def _present(
    session: AsyncSession, person_id: UUID, company_id: UUID, community_id: UUID
) -> Membership:
    found = await session.scalar(
        select(Membership).where(
            col(Membership.person_id) == person_id,
            col(Membership.company_id) == company_id,
            col(Membership.community_id) == community_id,
            col(Membership.state).in_(LIVE),
        )
    )
    if found is None:  # it ended a moment ago
        raise NotFoundError
    return found


async def decide(
    session: AsyncSession, *, membership_id: UUID, viewer: Viewer, grant: bool, reason: str | None
) -> Membership:
    """Answer a request to join, as somebody who runs the community.

    Raises `NotFoundError` for a stranger, `AlreadyDecidedError`, `ReasonNeededError`.
    """
    membership = await session.get(Membership, membership_id, with_for_update=True)
    if membership is None:
        raise NotFoundError
    community = await reads.run_community(session, key=str(membership.community_id), viewer=viewer)
    membership.decide(
        grant=grant,
        reason=reason,
        by=viewer.person_id,
        role=DecisionRole.ANIMATOR if community.id in viewer.animates else DecisionRole.AGENT,
        now=clock.now(),
    )
    await subjects.ensure(session, viewer.person_id)
    outbox.publish(
        session,
        MembershipGranted(
            membership_id=membership.id,
            person_id=membership.person_id,
            company_id=membership.company_id,
            community_id=membership.community_id,
        )
        if grant
        else MembershipRefused(
            membership_id=membership.id,
            person_id=membership.person_id,
            community_id=membership.community_id,
        ),
    )
    return membership


async def leave(session: AsyncSession, *, membership_id: UUID, person_id: UUID) -> None:
    """End one of the caller's memberships, or withdraw the request; raises `NotFoundError`."""
    ended = await end_memberships(
        session,
        col(Membership.id) == membership_id,
        col(Membership.person_id) == person_id,
    )
    if not ended:
        raise NotFoundError


async def end_memberships(session: AsyncSession, *which: ColumnElement[bool]) -> int:
    """End the live ones among these memberships, and say so; returns how many.

    The answers to the questionnaire go: nobody needs them any more (N2.1).
    """
    ended = (
        await session.execute(
            update(Membership)
            .where(*which, col(Membership.state).in_(LIVE))
            .values(state=MembershipState.ENDED, answers=None)
            .returning(
                col(Membership.id),
                col(Membership.person_id),
                col(Membership.company_id),
                col(Membership.community_id),
            )
            .execution_options(synchronize_session=False)
        )
    ).all()
    outbox.publish(
        session,
        *(
            MembershipEnded(
                membership_id=row.id,
                person_id=row.person_id,
                company_id=row.company_id,
                community_id=row.community_id,
            )
            for row in ended
        ),
    )
    return len(ended)
