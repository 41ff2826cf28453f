"""Who wants which newsletter."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock, outbox, subjects
from chassis.auth import Principal
from chassis.ids import new_id
from contracts.notifications import Subscribed, Unsubscribed
from services.notifications import queries
from services.notifications.actions.notices import drop_mails
from services.notifications.errors import NotAMemberError
from services.notifications.models import Choice, Community, Delivery, Kind, Subscription


async def choose_newsletters(
    session: AsyncSession, *, person: Principal, choices: Mapping[UUID, bool]
) -> None:
    """Set which newsletters the caller wants (N4.2); communities not named stay as they are.

    Who is about to join a community may refuse its newsletter beforehand: the answer to their
    request, or the news of it, may come later than their choice.

    Raises `NotAMemberError` for a wish to read the newsletter of somebody else's community.
    """
    own = await queries.communities_of(session, viewer=person)
    if any(wish for community_id, wish in choices.items() if community_id not in own):
        raise NotAMemberError("Rejoignez d'abord la communauté : sa lettre vient avec l'adhésion.")
    wanted = {
        community_id: Choice.SUBSCRIBED if wish else Choice.UNSUBSCRIBED
        for community_id, wish in choices.items()
        if community_id in own
    }
    if wanted:
        await choose(session, person_id=person.account_id, wanted=wanted)
    await _refuse(session, person=person, communities=[one for one in choices if one not in own])


async def _refuse(session: AsyncSession, *, person: Principal, communities: Sequence[UUID]) -> None:
    """Remember that these newsletters shall not come; of communities that exist."""
    known = await session.scalars(
        select(col(Community.id))
        .where(col(Community.id).in_(communities))
        .order_by(col(Community.id))
    )
    values = [
        {
            "id": new_id(),
            "person_id": person.account_id,
            "community_id": community_id,
            "state": Choice.REFUSED.value,
            "changed_at": clock.now(),
        }
        for community_id in known
    ]
    if values:
        await subjects.ensure(session, person.account_id)
        new = insert(Subscription).values(values)
        await session.execute(
            new.on_conflict_do_update(
                index_elements=["person_id", "community_id"],
                set_={"state": new.excluded.state, "changed_at": new.excluded.changed_at},
            )
        )


async def forget_refusal(session: AsyncSession, *which: Any) -> None:
    """The request is over: another one asks again."""
    await session.execute(
        delete(Subscription).where(col(Subscription.state) == Choice.REFUSED, *which)
    )


async def keep_refusal(session: AsyncSession, *which: Any) -> bool:
    """A refusal becomes the choice of a member; returns whether there was one."""
    kept = await session.scalar(
        update(Subscription)
        .where(col(Subscription.state) == Choice.REFUSED, *which)
        .values(state=Choice.UNSUBSCRIBED.value)
        .returning(col(Subscription.id))
    )
    return kept is not None


async def choose(session: AsyncSession, *, person_id: UUID, wanted: Mapping[UUID, Choice]) -> None:
    """Set the state of subscriptions by community, and tell what changed."""
    now = clock.now()
    new = insert(Subscription).values(
        [
            {
                "id": new_id(),
                "person_id": person_id,
                "community_id": community_id,
                "state": choice.value,
                "changed_at": now,
            }
            for community_id, choice in sorted(wanted.items())
        ]
    )
    changed = await session.execute(
        new.on_conflict_do_update(
            index_elements=["person_id", "community_id"],
            set_={"state": new.excluded.state, "changed_at": now},
            where=col(Subscription.state) != new.excluded.state,
        ).returning(*_TOLD)
    )
    await _tell(session, changed.all())


async def unsubscribe(session: AsyncSession, *which: Any) -> None:
    """End the subscriptions that fulfil these conditions, if there are any (RFC 8058, N7.1)."""
    ended = await session.execute(
        update(Subscription)
        .where(col(Subscription.state) == Choice.SUBSCRIBED, *which)
        .values(state=Choice.UNSUBSCRIBED.value, changed_at=clock.now())
        .returning(*_TOLD)
    )
    await _tell(session, ended.all())


_TOLD = (
    col(Subscription.id),
    col(Subscription.person_id),
    col(Subscription.community_id),
    col(Subscription.state),
)


async def _tell(session: AsyncSession, changed: Any) -> None:
    """Publish what changed; what was written for subscribers does not go to those who left."""
    left = []
    for subscription_id, person_id, community_id, state in changed:
        if state == Choice.SUBSCRIBED:
            outbox.publish(session, Subscribed(person_id=person_id, community_id=community_id))
        else:
            outbox.publish(session, Unsubscribed(person_id=person_id, community_id=community_id))
            left.append(subscription_id)
    if left:
        await drop_mails(
            session,
            col(Delivery.kind) == Kind.CONSULTATION_PUBLISHED,
            col(Delivery.subscription_id).in_(left),
        )
