"""The bus door of privacy: wishes to be deleted, consents, and answers to erasures."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.inbox import Delivery, Handler, Together
from contracts.base import Event
from contracts.directory import AnimatorAppointed, MembershipGranted, MembershipsTold
from contracts.identity import AccountLocked, AccountOpened, RolesChanged
from contracts.notifications import RetentionWarningSettled
from contracts.privacy import (
    ConsentPurpose,
    ErasureAcknowledged,
    ManifestAnnounced,
    PartnerAcknowledged,
    Reason,
)
from services.privacy.actions import answers, broadcasts, consents, missed, retention
from services.privacy.models import Means


async def on_account_opened(session: AsyncSession, event: AccountOpened, _: Delivery) -> None:
    """Signing up is agreeing to the notice that was shown."""
    await consents.give(
        session,
        person_id=event.account_id,
        purpose=ConsentPurpose.PLATFORM,
        notice_version=event.notice_version,
        by=Means.SIGN_UP,
        given_at=event.opened_at,
    )
    await retention.open_account(session, person_id=event.account_id, opened_at=event.opened_at)


async def on_membership(
    session: AsyncSession, event: MembershipGranted | AnimatorAppointed, _: Delivery
) -> None:
    """Somebody belongs somewhere."""
    await retention.join(session, person_id=event.person_id)


async def on_roles_changed(session: AsyncSession, event: RolesChanged, _: Delivery) -> None:
    """Somebody works here, or does no longer."""
    await retention.set_role(session, person_id=event.account_id, holds_role=event.holds_role)


async def on_memberships_told(session: AsyncSession, event: MembershipsTold, _: Delivery) -> None:
    """The directory says how far it has told."""
    await retention.hear_memberships(session, service=event.service, until=event.until)


async def on_warning_settled(
    session: AsyncSession, event: RetentionWarningSettled, _: Delivery
) -> None:
    """A warning has gone, or could not."""
    await retention.settle_warning(
        session,
        person_id=event.person_id,
        warning_id=event.warning_id,
        outcome=event.outcome,
        kept_until=event.kept_until,
    )


async def on_accounts_locked(session: AsyncSession, events: Sequence[AccountLocked]) -> None:
    """These asked to be deleted."""
    await broadcasts.request_erasures(
        session,
        [
            broadcasts.Wish(
                erasure_id=event.erasure_id,
                subject_id=event.account_id,
                reason=Reason.SELF_SERVICE,
                requested_at=event.requested_at,
            )
            for event in events
        ],
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
    await missed.answer(session, event, sender=delivery.sender)


HANDLERS: dict[type[Event], Handler[Any]] = {
    AccountOpened: on_account_opened,
    AccountLocked: Together(on_accounts_locked),
    RolesChanged: on_roles_changed,
    MembershipGranted: on_membership,
    AnimatorAppointed: on_membership,
    MembershipsTold: on_memberships_told,
    RetentionWarningSettled: on_warning_settled,
}

ANSWERS: dict[type[Event], Handler[Any]] = {
    ManifestAnnounced: on_manifest,
    ErasureAcknowledged: on_acknowledged,
    PartnerAcknowledged: on_partner_acknowledged,
}
