"""What people chose about the messages they get."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock, subjects
from services.notifications.actions.notices import drop_mails
from services.notifications.actions.subscriptions import unsubscribe
from services.notifications.errors import NecessaryMessageError
from services.notifications.models import (
    OFFERS,
    Delivery,
    Kind,
    Offer,
    Preference,
    Subscription,
)
from services.notifications.schemas import Frequency, PreferenceChoice


async def choose(
    session: AsyncSession, *, person_id: UUID, choices: Sequence[PreferenceChoice]
) -> None:
    """Set what somebody chose; what is not named stays. Raises `NecessaryMessageError`."""
    await subjects.ensure(session, person_id)
    for choice in sorted(choices, key=lambda choice: choice.kind):
        kind = _chosen_kind(choice)
        wanted = {
            name: value
            for name, value in (
                ("mail", choice.mail),
                ("site", choice.site),
                ("frequency", choice.frequency),
            )
            if value is not None
        } | {"changed_at": clock.now()}
        everything = {"mail": True, "site": True, "frequency": Frequency.AT_ONCE.value}
        await session.execute(
            insert(Preference)
            .values(person_id=person_id, kind=kind.value, **{**everything, **wanted})
            .on_conflict_do_update(index_elements=["person_id", "kind"], set_=wanted)
        )
        if choice.mail is False:
            await drop_mails(
                session, col(Delivery.person_id) == person_id, col(Delivery.kind) == kind.value
            )


def _chosen_kind(choice: PreferenceChoice) -> Kind:
    offers = {kind.value: (kind, offer) for kind, offer in OFFERS.items()}
    kind, offer = offers.get(choice.kind, (None, Offer("")))
    if kind is None:
        raise NecessaryMessageError("Ce message est nécessaire, ou n'existe pas.")
    if (choice.mail is False and not offer.mail) or (choice.site is False and not offer.site):
        raise NecessaryMessageError(f"« {offer.label} » : il en reste toujours une trace ici.")
    if choice.frequency not in (None, Frequency.AT_ONCE) and not offer.rhythm:
        raise NecessaryMessageError(f"« {offer.label} » : ces courriels partent tout de suite.")
    return kind


async def refuse_all(session: AsyncSession, *, person_id: UUID) -> None:
    """End everything that is not necessary: newsletters, and every way that can be refused."""
    await choose(
        session,
        person_id=person_id,
        choices=[
            PreferenceChoice(
                kind=kind.value,
                mail=False if offer.mail else None,
                site=False if offer.site else None,
            )
            for kind, offer in OFFERS.items()
        ],
    )
    await unsubscribe(session, col(Subscription.person_id) == person_id)
