"""What happens in communities, and whom it concerns."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import subjects
from services.notifications.actions.notices import NO_ID, Readers, settle_request, tell
from services.notifications.actions.subscriptions import (
    choose,
    forget_refusal,
    keep_refusal,
    unsubscribe,
)
from services.notifications.actions.warnings import withdraw
from services.notifications.models import (
    Animator,
    Choice,
    Community,
    Kind,
    Membership,
    Subscription,
)


async def open_community(session: AsyncSession, *, community_id: UUID, slug: str, cci: str) -> None:
    """Know a community by its public name; told again, it may have another one."""
    await session.execute(
        insert(Community)
        .values(id=community_id, slug=slug, cci=cci)
        .on_conflict_do_update(index_elements=["id"], set_={"slug": slug, "cci": cci})
    )


async def appoint_animator(session: AsyncSession, *, community_id: UUID, person_id: UUID) -> None:
    """From now on this person is told about requests to join."""
    await subjects.ensure(session, person_id)
    await session.execute(
        insert(Animator)
        .values(person_id=person_id, community_id=community_id)
        .on_conflict_do_nothing()
    )


async def dismiss_animator(session: AsyncSession, *, community_id: UUID, person_id: UUID) -> None:
    """This person is not told any more."""
    await session.execute(
        delete(Animator).where(
            col(Animator.person_id) == person_id, col(Animator.community_id) == community_id
        )
    )


async def request_membership(
    session: AsyncSession, *, membership_id: UUID, person_id: UUID, community_id: UUID
) -> None:
    """Tell the animators that somebody waits for their answer."""
    await subjects.ensure(session, person_id)
    animators = (
        select(col(Animator.person_id), col(Animator.community_id), NO_ID.label("subscription_id"))
        .where(col(Animator.community_id) == community_id)
        .order_by(col(Animator.person_id))
    )
    await tell(
        session, animators, kind=Kind.MEMBERSHIP_REQUESTED, about=person_id, target=membership_id
    )


async def grant_membership(
    session: AsyncSession, *, membership_id: UUID, person_id: UUID, community_id: UUID
) -> None:
    """Welcome a member; the newsletter comes with the first membership of a community (N7.1).

    Whoever is a member already, for another company, has made a choice: it stays; so does a
    refusal made when joining.
    """
    await subjects.ensure(session, person_id)
    await withdraw(session, person_id=person_id)
    first = not await _is_member(session, person_id=person_id, community_id=community_id)
    await session.execute(
        insert(Membership)
        .values(id=membership_id, person_id=person_id, community_id=community_id)
        .on_conflict_do_nothing()
    )
    refused = first and await keep_refusal(session, *_subscription(person_id, community_id))
    if first and not refused:
        await choose(session, person_id=person_id, wanted={community_id: Choice.SUBSCRIBED})
    await settle_request(session, membership_id=membership_id)
    subscription = (
        select(col(Subscription.id))
        .where(
            *_subscription(person_id, community_id), col(Subscription.state) == Choice.SUBSCRIBED
        )
        .scalar_subquery()
    )
    member = _one(person_id, community_id, subscription)
    await tell(session, member, kind=Kind.MEMBERSHIP_GRANTED, target=membership_id)


async def refuse_membership(
    session: AsyncSession, *, membership_id: UUID, person_id: UUID, community_id: UUID
) -> None:
    """Tell the person where to read why; the reason itself stays in directory."""
    await subjects.ensure(session, person_id)
    await settle_request(session, membership_id=membership_id)
    await forget_refusal(session, *_subscription(person_id, community_id))
    person = _one(person_id, community_id, NO_ID)
    await tell(session, person, kind=Kind.MEMBERSHIP_REFUSED, target=membership_id)


async def end_membership(
    session: AsyncSession, *, membership_id: UUID, person_id: UUID, community_id: UUID
) -> None:
    """Somebody left: the newsletter ends with the last membership of the community."""
    await session.execute(delete(Membership).where(col(Membership.id) == membership_id))
    await settle_request(session, membership_id=membership_id)
    if not await _is_member(session, person_id=person_id, community_id=community_id):
        await unsubscribe(session, *_subscription(person_id, community_id))
        await forget_refusal(session, *_subscription(person_id, community_id))


def _subscription(person_id: UUID, community_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return (
        col(Subscription.person_id) == person_id,
        col(Subscription.community_id) == community_id,
    )


def _one(person_id: UUID, community_id: UUID, subscription_id: Any) -> Readers:
    return select(
        literal(person_id).label("person_id"),
        literal(community_id).label("community_id"),
        subscription_id.label("subscription_id"),
    )


async def _is_member(session: AsyncSession, *, person_id: UUID, community_id: UUID) -> bool:
    found = exists().where(
        col(Membership.person_id) == person_id, col(Membership.community_id) == community_id
    )
    return bool(await session.scalar(select(found)))
