"""Agreeing, and stopping to: each time a row, with the text that was shown (N2.4)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock, outbox, subjects
from chassis.errors import NotFoundError
from chassis.ids import new_id
from contracts.privacy import ConsentGiven, ConsentPurpose, ConsentWithdrawn
from services.privacy.errors import AccountConsentError, UnknownNoticeError
from services.privacy.models import Consent, Means, Notice
from services.privacy.queries.notices import notice_in_force, text_hash


async def give(
    session: AsyncSession,
    *,
    person_id: UUID,
    purpose: ConsentPurpose,
    notice_version: str,
    by: Means,
    given_at: datetime | None = None,
) -> None:
    """Keep that a person agreed; agreeing to what is agreed to already changes nothing."""
    now = clock.now()
    notice = await session.get(Notice, notice_version)
    consent_id, given_at = new_id(), given_at or now
    await subjects.ensure(session, person_id)
    added = await session.scalar(
        insert(Consent)
        .values(
            consent_id=consent_id,
            person_id=person_id,
            purpose=purpose.value,
            notice_version=notice_version,
            text_hash=text_hash(notice) if notice else None,
            given_at=given_at,
            given_by=by.value,
        )
        .on_conflict_do_nothing()
        .returning(col(Consent.consent_id))
    )
    if added is not None:
        outbox.publish(
            session,
            ConsentGiven(
                person_id=person_id,
                consent_id=consent_id,
                purpose=purpose,
                notice_version=notice_version,
                given_at=given_at,
            ),
        )


async def agree(
    session: AsyncSession, *, person_id: UUID, purpose: ConsentPurpose, notice_version: str
) -> None:
    """Agree to the notice in force, or to one that is announced; raises `UnknownNoticeError`."""
    notice, current = await session.get(Notice, notice_version), await notice_in_force(session)
    if notice is None or (current and notice.in_force_from < current.in_force_from):
        raise UnknownNoticeError("Relisez la notice : il y en a une plus récente.")
    await give(
        session,
        person_id=person_id,
        purpose=purpose,
        notice_version=notice_version,
        by=Means.ACCOUNT,
    )


async def withdraw(
    session: AsyncSession, *, person_id: UUID, purpose: ConsentPurpose, by: Means
) -> int:
    """Stop to agree, whatever the version; returns how many consents ended."""
    now = clock.now()
    ended = (
        await session.scalars(
            update(Consent)
            .where(
                col(Consent.person_id) == person_id,
                col(Consent.purpose) == purpose,
                col(Consent.withdrawn_at).is_(None),
            )
            .values(withdrawn_at=now, withdrawn_by=by.value)
            .returning(col(Consent.consent_id))
            .execution_options(synchronize_session=False)
        )
    ).all()
    for consent_id in ended:
        outbox.publish(
            session,
            ConsentWithdrawn(
                person_id=person_id, consent_id=consent_id, purpose=purpose, withdrawn_at=now
            ),
        )
    return len(ended)


async def withdraw_own(session: AsyncSession, *, person_id: UUID, purpose: ConsentPurpose) -> None:
    """The caller stops to agree; raises `AccountConsentError`, `NotFoundError`."""
    if purpose is ConsentPurpose.PLATFORM:
        raise AccountConsentError(
            "Votre compte repose sur cet accord : supprimez le compte dans « Mon compte », vos "
            "données sont effacées aussitôt, partout."
        )
    if not await withdraw(session, person_id=person_id, purpose=purpose, by=Means.ACCOUNT):
        raise NotFoundError
