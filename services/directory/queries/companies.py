"""Reads about one company and its people."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import and_, case, exists, func, or_, select
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col

from chassis.errors import NotFoundError
from services.directory.errors import NotAdministratorError
from services.directory.models import (
    Attachment,
    AttachmentState,
    Community,
    Company,
    Membership,
    MembershipState,
    Profile,
)
from services.directory.queries.people import name_in
from services.directory.queries.viewers import (
    Viewer,
    can_see_company,
    can_see_company_in,
    can_see_contact,
    can_see_person,
)
from services.directory.schemas.companies import (
    Address,
    AttachmentView,
    Colleague,
    CompanyName,
    CompanySheet,
    ListedCompany,
    OwnCompany,
)

_SHEET_COLUMNS = (
    "id", "siret", "siren", "name", "sole_trader", "website", "social", "activity", "naf",
    "naf_version", "trade", "generated", "version",
)  # fmt: skip


def communities_of(viewer: Viewer) -> ColumnElement[Any]:
    """The communities of `Company` that the viewer may know, as JSON in the order of their names."""
    one = func.jsonb_build_object(
        "id", col(Community.id), "slug", col(Community.slug), "name", col(Community.name)
    )
    belongs = exists(
        select(1)
        .select_from(Membership)
        .where(
            col(Membership.company_id) == col(Company.id),
            col(Membership.community_id) == col(Community.id),
            col(Membership.state) == MembershipState.ACTIVE,
        )
        .correlate(Company, Community)
    )
    found = (
        select(func.jsonb_agg(aggregate_order_by(one, col(Community.name), col(Community.id))))
        .where(belongs, can_see_company_in(viewer, col(Company.id)))
        .correlate(Company)
        .scalar_subquery()
    )
    return func.coalesce(found, func.jsonb_build_array(), type_=JSONB)


async def sheet(session: AsyncSession, *, company_id: UUID, viewer: Viewer) -> CompanySheet:
    """A company sheet; raises `NotFoundError` for who may not know that it exists."""
    shown = can_see_contact(viewer)
    row = (
        await session.execute(
            select(
                *(getattr(Company, name) for name in _SHEET_COLUMNS),
                *(getattr(Company, name) for name in Address.model_fields),
                case((shown, col(Company.phone))).label("phone"),
                case((shown, col(Company.email))).label("email"),
                communities_of(viewer).label("communities"),
                col(Attachment.role),
                col(Attachment.state),
            )
            .outerjoin(
                Attachment,
                and_(
                    col(Attachment.company_id) == col(Company.id),
                    col(Attachment.person_id) == viewer.person_id,
                ),
            )
            .where(col(Company.id) == company_id, can_see_company(viewer))
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError
    people = await session.execute(
        select(
            col(Attachment.person_id),
            col(Profile.last_name),
            col(Profile.first_name),
            col(Profile.job_title),
        )
        .join(Profile, col(Profile.person_id) == col(Attachment.person_id))
        .where(
            col(Attachment.company_id) == company_id,
            col(Attachment.state) == AttachmentState.ACTIVE,
            can_see_person(viewer, col(Attachment.person_id)),
        )
        .order_by(col(Attachment.since), col(Attachment.person_id))
        .limit(50)
    )
    return CompanySheet(
        **{name: getattr(row, name) for name in (*_SHEET_COLUMNS, "phone", "email", "communities")},
        address=Address.model_validate(row),
        people=[name_in(person) for person in people],
        attachment=AttachmentView(role=row.role, state=row.state) if row.role else None,
    )


async def listed(session: AsyncSession, *, siret: str, viewer: Viewer) -> ListedCompany:
    """The company that bears a SIRET, for who is about to act for it; raises `NotFoundError`."""
    row = (
        await session.execute(
            select(Company, Attachment)
            .outerjoin(
                Attachment,
                and_(
                    col(Attachment.company_id) == col(Company.id),
                    col(Attachment.person_id) == viewer.person_id,
                ),
            )
            .where(col(Company.siret) == siret)
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError
    company, attachment = row
    told: set[str] = set() if company.sole_trader else {"name", "town"}
    if told and company.owner_id is None:
        told |= {"street", "postcode", "commune_code", "naf"}
    return ListedCompany(
        siret=siret,
        claimed=company.owner_id is not None,
        generated=company.generated,
        attachment=AttachmentView.model_validate(attachment) if attachment else None,
        **{
            name: getattr(company, name) if name in told else None
            for name in ("name", "town", "street", "postcode", "commune_code", "naf")
        },
    )


async def names(
    session: AsyncSession, *, ids: Sequence[UUID], viewer: Viewer | None
) -> list[CompanyName]:
    """The names of those companies, as far as anybody, or this viewer, may know them."""
    told = ~col(Company.sole_trader)
    found = await session.execute(
        select(col(Company.id), col(Company.name)).where(
            col(Company.id).in_(ids), or_(told, can_see_company(viewer)) if viewer else told
        )
    )
    return [CompanyName.model_validate(row) for row in found]


async def own_companies(session: AsyncSession, *, viewer: UUID) -> list[OwnCompany]:
    """The companies that the caller acts for or asked to be attached to."""
    rows = await session.execute(
        select(
            col(Company.id),
            col(Company.siret),
            col(Company.name),
            col(Attachment.role),
            col(Attachment.state),
            col(Attachment.since),
        )
        .join(Attachment, col(Attachment.company_id) == col(Company.id))
        .where(col(Attachment.person_id) == viewer)
        .order_by(col(Company.folded_name), col(Company.id))
    )
    return [OwnCompany.model_validate(row) for row in rows]


async def administered(
    session: AsyncSession, *, company_id: UUID, viewer: Viewer, lock: bool = False
) -> Company:
    """A company that the caller administers, locked when it is about to change.

    Raises `NotFoundError` for who may not know that it exists, `NotAdministratorError` for others.
    """
    wanted = (
        select(Company, Attachment)
        .outerjoin(
            Attachment,
            and_(
                col(Attachment.company_id) == col(Company.id),
                col(Attachment.person_id) == viewer.person_id,
            ),
        )
        .where(col(Company.id) == company_id, can_see_company(viewer))
    )
    row = (
        await session.execute(wanted.with_for_update(of=Company) if lock else wanted)
    ).one_or_none()
    if row is None:
        raise NotFoundError
    company: Company = row[0]
    attachment: Attachment | None = row[1]
    if attachment is None or not attachment.administers:
        raise NotAdministratorError("Demandez à un administrateur de l'entreprise.")
    return company


async def colleagues(session: AsyncSession, *, company_id: UUID, viewer: Viewer) -> list[Colleague]:
    """Everybody who acts or asks to act for a company that the caller administers.

    Raises what `administered` raises.
    """
    company = await administered(session, company_id=company_id, viewer=viewer)
    rows = await session.execute(
        select(
            col(Attachment.person_id),
            col(Attachment.role),
            col(Attachment.state),
            col(Attachment.since),
            col(Profile.last_name),
            col(Profile.first_name),
            col(Profile.job_title),
        )
        .outerjoin(Profile, col(Profile.person_id) == col(Attachment.person_id))
        .where(col(Attachment.company_id) == company.id)
        .order_by(col(Attachment.since), col(Attachment.person_id))
        .limit(500)
    )
    return [
        Colleague(
            person=name_in(row),
            role=row.role,
            state=row.state,
            since=row.since,
            owner=row.person_id == company.owner_id,
        )
        for row in rows
    ]
