"""Who agreed to what, and who must be asked again."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from chassis.auth import Principal
from chassis.errors import NotFoundError
from contracts.privacy import ConsentPurpose
from services.privacy.models import Consent, Notice
from services.privacy.queries.notices import notice_in_force
from services.privacy.schemas.consents import NoticeToAccept, ToAsk


async def own_consents(session: AsyncSession, *, viewer: Principal) -> Sequence[Consent]:
    """What the caller agreed to, withdrawn ones included, in the order of time."""
    found = await session.scalars(
        select(Consent)
        .where(col(Consent.person_id) == viewer.account_id)
        .order_by(col(Consent.given_at), col(Consent.consent_id))
    )
    return found.all()


async def own_consent(session: AsyncSession, *, consent_id: UUID, viewer: Principal) -> Consent:
    """One of the caller's consents; raises `NotFoundError`."""
    found = await session.get(Consent, consent_id)
    if found is None or found.person_id != viewer.account_id:
        raise NotFoundError
    return found


async def notice_to_accept(session: AsyncSession, *, viewer: Principal) -> NoticeToAccept:
    """Whether the caller has agreed to the notice in force, or to a later one that is announced."""
    current = await notice_in_force(session)
    agreed = (
        await session.execute(
            select(col(Consent.notice_version), col(Notice.in_force_from))
            .outerjoin(Notice, col(Notice.version) == col(Consent.notice_version))
            .where(
                col(Consent.person_id) == viewer.account_id,
                col(Consent.purpose) == ConsentPurpose.PLATFORM,
                col(Consent.withdrawn_at).is_(None),
            )
            .order_by(col(Notice.in_force_from).desc().nulls_last())
            .limit(1)
        )
    ).one_or_none()
    known = agreed is not None and agreed.in_force_from is not None
    return NoticeToAccept(
        to_accept=current is not None
        and not (known and agreed is not None and agreed.in_force_from >= current.in_force_from),
        version=current.version if current else None,
        in_force_from=current.in_force_from if current else None,
        agreed_version=agreed.notice_version if agreed else None,
    )


async def to_ask(
    session: AsyncSession, *, notice: Notice, after: UUID | None, limit: int
) -> list[ToAsk]:
    """People with an account who have not agreed to this version or a later one, in the order of their
    ids; the door has checked the role.
    """
    newer, its = aliased(Consent), aliased(Notice)
    wanted = (
        select(col(Consent.person_id), col(Consent.notice_version))
        .ext(distinct_on(col(Consent.person_id)))
        .where(
            col(Consent.purpose) == ConsentPurpose.PLATFORM,
            col(Consent.withdrawn_at).is_(None),
            ~exists(
                select(1)
                .select_from(newer)
                .join(its, col(its.version) == col(newer.notice_version))
                .where(
                    col(newer.person_id) == col(Consent.person_id),
                    col(newer.purpose) == ConsentPurpose.PLATFORM,
                    col(newer.withdrawn_at).is_(None),
                    col(its.in_force_from) >= notice.in_force_from,
                )
            ),
        )
        .order_by(col(Consent.person_id), col(Consent.given_at).desc())
        .limit(limit)
    )
    if after is not None:
        wanted = wanted.where(col(Consent.person_id) > after)
    return [
        ToAsk(person_id=person_id, agreed_version=version)
        for person_id, version in await session.execute(wanted)
    ]
