"""The bus door of privacy: wishes to be deleted, consents, and answers to erasures."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.inbox import Delivery, Handler
from contracts.base import Event
from contracts.identity import AccountLocked, AccountOpened
from contracts.privacy import (
    ErasureAcknowledged,
    ManifestAnnounced,
    PartnerAcknowledged,
    Reason,
)
from services.privacy.actions import answers, broadcasts, notices


async def on_account_opened(session: AsyncSession, event: AccountOpened, _: Delivery) -> None:
    """Signing up is agreeing to the notice that was shown."""
    await notices.record_consent(
        session,
        person_id=event.account_id,
        notice_version=event.notice_version,
        given_at=event.opened_at,
    )


async def on_account_locked(session: AsyncSession, event: AccountLocked, _: Delivery) -> None:
    """Somebody asked to be deleted."""
    await broadcasts.request_erasure(
        session,
        erasure_id=event.erasure_id,
        subject_id=event.account_id,
        reason=Reason.SELF_SERVICE,
        requested_at=event.requested_at,
    )


async def on_manifest(session: AsyncSession, event: ManifestAnnounced, delivery: Delivery) -> None:
    """A service says what it holds."""
    await answers.announce_manifest(session, event, sender=delivery.sender, statement=delivery.data)


async def on_acknowledged(
    session: AsyncSession, event: ErasureAcknowledged, delivery: Delivery
) -> None:
    """A service shows evidence."""
    await answers.acknowledge(session, event, sender=delivery.sender, statement=delivery.data)


async def on_partner_acknowledged(
    session: AsyncSession, event: PartnerAcknowledged, delivery: Delivery
) -> None:
    """A partner system gives its word."""
    await answers.acknowledge_as_partner(session, event, sender=delivery.sender)


HANDLERS: dict[type[Event], Handler[Any]] = {
    AccountOpened: on_account_opened,
    AccountLocked: on_account_locked,
}

ANSWERS: dict[type[Event], Handler[Any]] = {
    ManifestAnnounced: on_manifest,
    ErasureAcknowledged: on_acknowledged,
    PartnerAcknowledged: on_partner_acknowledged,
}
