"""The fate of a company sheet when the person it depends on goes (rule `last_owner`)."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import any_, bindparam, delete, literal, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid
from sqlmodel import col

from chassis import outbox
from chassis.erasure_rows import Tallies
from contracts.directory import (
    AttachmentRole,
    CompanyUnlisted,
    MembershipEnded,
    PersonAttached,
    PersonDetached,
)
from services.directory.models import LIVE, Attachment, AttachmentState, Company, Membership

# A sole trader's sheet is about its owner alone, so it has no heir.
_HAND_OVER = text(
    """
    UPDATE company SET owner_id = heir.person_id, version = company.version + 1
    FROM (
        SELECT DISTINCT ON (a.company_id) a.company_id, a.person_id, c.owner_id AS leaver
        FROM attachment a JOIN company c ON c.id = a.company_id
        WHERE c.id = ANY(:companies) AND NOT c.sole_trader
          AND a.state = 'active' AND a.person_id <> ALL(:leaving)
        ORDER BY a.company_id, (a.role = 'administrator') DESC, a.since, a.person_id
    ) AS heir
    WHERE company.id = heir.company_id
    RETURNING company.id, heir.person_id, heir.leaver
    """
).bindparams(bindparam("companies", type_=ARRAY(Uuid)), bindparam("leaving", type_=ARRAY(Uuid)))


async def last_owner(session: AsyncSession, people: Sequence[UUID], tallies: Tallies) -> None:
    """The shared rule of `company.owner_id`; see `settle`."""
    await settle(session, leaving=people, tallies=tallies)


async def settle(
    session: AsyncSession,
    *,
    leaving: Sequence[UUID],
    companies: Sequence[UUID] | None = None,
    tallies: Tallies | None = None,
) -> None:
    """Decide about the sheets that these people own, all of them or only `companies`.

    Another person who acts for the company inherits it: administrators first, then the earliest
    attached, who becomes an administrator. With nobody left, and always for a sole trader, the sheet
    goes with its attachments and memberships, and `CompanyUnlisted` says so.
    """
    owned = select(col(Company.id)).where(col(Company.owner_id) == _any(leaving))
    if companies is not None:
        owned = owned.where(col(Company.id) == _any(companies))
    # Locked by a statement of its own: the next ones see who was attached until now.
    orphaned = (await session.scalars(owned.order_by(col(Company.id)).with_for_update())).all()
    if not orphaned:
        return
    handed = (
        await session.execute(_HAND_OVER, {"companies": orphaned, "leaving": list(leaving)})
    ).all()
    if handed:
        await _promote(session, [(company, heir) for company, heir, _ in handed])
    for _, _, leaver in handed:
        if tallies is not None:
            tallies[leaver]["company"].detached += 1
    gone = sorted(set(orphaned) - {company for company, _, _ in handed})
    if gone:
        await _unlist(session, gone, leaving=set(leaving), tallies=tallies)


def _any(ids: Sequence[UUID]) -> object:
    return any_(literal(list(ids), ARRAY(Uuid)))


async def _promote(session: AsyncSession, heirs: Sequence[tuple[UUID, UUID]]) -> None:
    promoted = await session.execute(
        update(Attachment)
        .where(
            tuple_(col(Attachment.company_id), col(Attachment.person_id)).in_(heirs),
            col(Attachment.role) != AttachmentRole.ADMINISTRATOR,
        )
        .values(role=AttachmentRole.ADMINISTRATOR)
        .returning(col(Attachment.company_id), col(Attachment.person_id))
        .execution_options(synchronize_session=False)
    )
    outbox.publish(
        session,
        *(
            PersonAttached(company_id=company, person_id=person, role=AttachmentRole.ADMINISTRATOR)
            for company, person in promoted
        ),
    )


async def _unlist(
    session: AsyncSession,
    companies: Sequence[UUID],
    *,
    leaving: set[UUID],
    tallies: Tallies | None,
) -> None:
    """Delete sheets with what hangs on them. Nothing is told about the people who are erased."""
    memberships = await session.execute(
        delete(Membership)
        .where(col(Membership.company_id) == _any(companies))
        .returning(
            col(Membership.id),
            col(Membership.person_id),
            col(Membership.company_id),
            col(Membership.community_id),
            col(Membership.state),
        )
        .execution_options(synchronize_session=False)
    )
    for row in memberships:
        if row.person_id not in leaving and row.state in LIVE:
            outbox.publish(
                session,
                MembershipEnded(
                    membership_id=row.id,
                    person_id=row.person_id,
                    company_id=row.company_id,
                    community_id=row.community_id,
                ),
            )
        _count(tallies, row.person_id, "membership")
    attachments = await session.execute(
        delete(Attachment)
        .where(col(Attachment.company_id) == _any(companies))
        .returning(col(Attachment.company_id), col(Attachment.person_id), col(Attachment.state))
        .execution_options(synchronize_session=False)
    )
    for person in attachments:
        if person.person_id not in leaving and person.state == AttachmentState.ACTIVE:
            outbox.publish(
                session, PersonDetached(company_id=person.company_id, person_id=person.person_id)
            )
        _count(tallies, person.person_id, "attachment")
    sheets = await session.execute(
        delete(Company)
        .where(col(Company.id) == _any(companies))
        .returning(col(Company.id), col(Company.owner_id))
        .execution_options(synchronize_session=False)
    )
    for sheet in sheets:
        _count(tallies, sheet.owner_id, "company")
        outbox.publish(session, CompanyUnlisted(company_id=sheet.id))


def _count(tallies: Tallies | None, person: UUID, table: str) -> None:
    if tallies is not None and person in tallies:
        tallies[person][table].deleted += 1


RULES = {"last_owner": last_owner}
