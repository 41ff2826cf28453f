"""Company sheets and the people attached to them."""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock, outbox, subjects
from chassis.errors import ConflictError, NotFoundError
from contracts.directory import (
    AttachmentRole,
    CompanyListed,
    PersonAttached,
    PersonDetached,
)
from services.directory import erasure
from services.directory.actions.communities import end_memberships
from services.directory.errors import OwnerStaysError
from services.directory.models import (
    Attachment,
    AttachmentState,
    Company,
    Membership,
    classified,
    located,
)
from services.directory.queries import companies as reads
from services.directory.queries.viewers import Viewer
from services.directory.schemas.companies import AddressForm, CompanyChange, CompanyForm


async def register(
    session: AsyncSession, *, company_id: UUID, person_id: UUID, form: CompanyForm
) -> tuple[Attachment, bool]:
    """List a company, or ask to be attached to the one that has this SIRET.

    Whoever lists it administers and owns the sheet; so does who first claims a sheet that was
    imported and has no owner. Returns the caller's attachment, and False when there was one already.
    """
    await subjects.ensure(session, person_id)
    listed = await session.scalar(
        insert(Company)
        .values(id=company_id, owner_id=person_id, listed_at=clock.now(), **_columns(form))
        .on_conflict_do_nothing(index_elements=["siret"])
        .returning(col(Company.id))
    )
    if listed is not None:
        outbox.publish(session, CompanyListed(company_id=company_id))
        return _attach_owner(session, company_id, person_id), True
    company = await session.scalar(
        select(Company).where(col(Company.siret) == form.siret).with_for_update()
    )
    if company is None:  # it was there a moment ago, and went with its last owner
        raise ConflictError("Cette fiche vient d'être supprimée : recommencez.")
    if company.owner_id is None:
        company.owner_id = person_id
        company.edit(expected=company.version, **_columns(form))
        return _attach_owner(session, company.id, person_id), True
    return await _ask(session, company, person_id)


def _columns(form: CompanyForm) -> dict[str, Any]:
    values = form.model_dump(exclude={"address", "naf"})
    return {**values, **_address(form.address), **classified(form.naf)}


def _address(address: AddressForm) -> dict[str, Any]:
    return {
        "street": address.street,
        "postcode": address.postcode,
        **located(address.commune_code),
    }


def _attach_owner(session: AsyncSession, company_id: UUID, person_id: UUID) -> Attachment:
    attachment = Attachment(
        company_id=company_id,
        person_id=person_id,
        role=AttachmentRole.ADMINISTRATOR,
        state=AttachmentState.ACTIVE,
        since=clock.now(),
    )
    session.add(attachment)
    _tell_attached(session, attachment)
    return attachment


def _tell_attached(session: AsyncSession, attachment: Attachment) -> None:
    outbox.publish(
        session,
        PersonAttached(
            company_id=attachment.company_id,
            person_id=attachment.person_id,
            role=AttachmentRole(attachment.role),
        ),
    )


async def ask(session: AsyncSession, *, siret: str, person_id: UUID) -> tuple[Attachment, bool]:
    """Ask to be attached to the company that bears this SIRET.

    Returns the attachment, and False when there was one already. Raises `NotFoundError` when no
    company bears it, or when nobody is there to answer: then `register` claims the sheet.
    """
    await subjects.ensure(session, person_id)
    company = await session.scalar(
        select(Company).where(col(Company.siret) == siret).with_for_update()
    )
    if company is None or company.owner_id is None:
        raise NotFoundError
    return await _ask(session, company, person_id)


async def _ask(session: AsyncSession, company: Company, person_id: UUID) -> tuple[Attachment, bool]:
    """The company is locked by the caller, so that it cannot go meanwhile."""
    present = await session.get(Attachment, (company.id, person_id))
    if present is not None:
        return present, False
    asked = Attachment(company_id=company.id, person_id=person_id, since=clock.now())
    session.add(asked)
    return asked, True


async def edit(
    session: AsyncSession,
    *,
    company_id: UUID,
    viewer: Viewer,
    expected: int,
    change: CompanyChange,
) -> None:
    """Change a sheet that the caller administers; `expected` is the version they edited.

    Raises what `queries.companies.administered` raises, and `VersionConflictError`.
    """
    company = await reads.administered(session, company_id=company_id, viewer=viewer, lock=True)
    values = change.model_dump(exclude_unset=True, exclude={"address", "naf"})
    if change.address is not None:
        values |= _address(change.address)
    if "naf" in change.model_fields_set:
        values |= classified(change.naf)
    company.edit(expected=expected, **values)


async def accept(
    session: AsyncSession,
    *,
    company_id: UUID,
    person_id: UUID,
    viewer: Viewer,
    role: AttachmentRole,
) -> None:
    """Let a person act for a company, or give them another role.

    Raises what `queries.companies.administered` raises, `NotFoundError` when that person did not
    ask, and `OwnerStaysError` for the owner, who stays an administrator.
    """
    company = await reads.administered(session, company_id=company_id, viewer=viewer, lock=True)
    attachment = await session.get(Attachment, (company_id, person_id), with_for_update=True)
    if attachment is None:
        raise NotFoundError
    if company.owner_id == person_id and role is not AttachmentRole.ADMINISTRATOR:
        raise OwnerStaysError("Le responsable de la fiche en reste administrateur.")
    attachment.accept(role)
    _tell_attached(session, attachment)


async def remove(
    session: AsyncSession, *, company_id: UUID, person_id: UUID, viewer: Viewer
) -> None:
    """Refuse or end another person's attachment, as an administrator.

    Raises what `queries.companies.administered` raises, `NotFoundError`, and `OwnerStaysError`.
    """
    company = await reads.administered(session, company_id=company_id, viewer=viewer, lock=True)
    if company.owner_id == person_id:
        raise OwnerStaysError("Seul le responsable de la fiche peut décider de la quitter.")
    await _detach(session, company_id, person_id)


async def leave(session: AsyncSession, *, company_id: UUID, person_id: UUID) -> None:
    """Stop acting for a company; an owner hands the sheet on, or takes it along as the last one.

    Raises `NotFoundError` unless the person was attached.
    """
    await session.execute(
        select(col(Company.id)).where(col(Company.id) == company_id).with_for_update()
    )
    await _detach(session, company_id, person_id)
    await erasure.settle(session, leaving=[person_id], companies=[company_id])


async def _detach(session: AsyncSession, company_id: UUID, person_id: UUID) -> None:
    """End the person's memberships for the company, then the attachment."""
    attachment = await session.get(Attachment, (company_id, person_id), with_for_update=True)
    if attachment is None:
        raise NotFoundError
    await end_memberships(
        session,
        col(Membership.company_id) == company_id,
        col(Membership.person_id) == person_id,
    )
    await session.delete(attachment)
    await session.flush()
    if attachment.active:
        outbox.publish(session, PersonDetached(company_id=company_id, person_id=person_id))
