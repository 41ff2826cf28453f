"""Reads about communities and memberships."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis.errors import ForbiddenError, NotFoundError
from chassis.pagination import cut, decode, encode
from services.directory.models import (
    Community,
    CommunityAnimator,
    Company,
    Membership,
    MembershipState,
    Profile,
)
from services.directory.queries.people import name_in
from services.directory.queries.viewers import Viewer
from services.directory.schemas.communities import (
    CommunityPage,
    CommunityView,
    CompanyRef,
    ManagedCommunity,
    MembershipPage,
    OwnMembership,
    QueuedMembership,
)
from services.directory.schemas.companies import CommunityRef
from services.directory.schemas.people import PersonName

_COMPANIES = (
    select(func.count(func.distinct(col(Membership.company_id))))
    .where(
        col(Membership.community_id) == col(Community.id),
        col(Membership.state) == MembershipState.ACTIVE,
    )
    .correlate(Community)
    .scalar_subquery()
)


_NAMES: tuple[Any, ...] = (
    col(Community.slug),
    col(Community.name).label("community_name"),
    col(Company.siret),
    col(Company.name).label("company_name"),
)


_QUEUED: Any = (
    select(
        Membership,
        col(Membership.person_id),
        col(Company.siret),
        col(Company.name).label("company_name"),
        col(Profile.last_name),
        col(Profile.first_name),
        col(Profile.job_title),
    )
    .join(Company, col(Company.id) == col(Membership.company_id))
    .outerjoin(Profile, col(Profile.person_id) == col(Membership.person_id))
)


def _view(community: Community, companies: int) -> CommunityView:
    return CommunityView(**community.model_dump(), companies=companies)


async def communities(session: AsyncSession, *, limit: int, after: str | None) -> CommunityPage:
    """One page of all communities, in the order of their names; they are public."""
    wanted = (
        select(Community, _COMPANIES)
        .order_by(col(Community.name), col(Community.id))
        .limit(limit + 1)
    )
    last = decode(after, str, UUID)
    if last is not None:
        wanted = wanted.where(
            tuple_(col(Community.name), col(Community.id)) > tuple_(*map(literal, last))
        )
    rows, following = cut(
        (await session.execute(wanted)).all(), limit, lambda row: encode(row[0].name, row[0].id)
    )
    return CommunityPage(items=[_view(*row) for row in rows], next=following)


async def managed(session: AsyncSession, *, viewer: Viewer) -> list[ManagedCommunity]:
    """The communities that the viewer runs or looks after, in the order of their names."""
    waiting = (
        select(func.count())
        .select_from(Membership)
        .where(
            col(Membership.community_id) == col(Community.id),
            col(Membership.state) == MembershipState.PENDING,
        )
        .correlate(Community)
        .scalar_subquery()
    )
    rows = await session.execute(
        select(Community, waiting)
        .where(or_(col(Community.id).in_(viewer.animates), col(Community.cci).in_(viewer.ccis)))
        .order_by(col(Community.name), col(Community.id))
    )
    return [
        ManagedCommunity(
            id=community.id,
            slug=community.slug,
            name=community.name,
            animator=community.id in viewer.animates,
            waiting=count,
        )
        for community, count in rows
    ]


async def community(session: AsyncSession, *, key: str) -> CommunityView:
    """A community by its id or its slug; raises `NotFoundError`."""
    row = (await session.execute(select(Community, _COMPANIES).where(_named(key)))).one_or_none()
    if row is None:
        raise NotFoundError
    return _view(*row)


async def community_row(session: AsyncSession, *, key: str) -> Community:
    """The row of a community by its id or its slug; raises `NotFoundError`."""
    found = await session.scalar(select(Community).where(_named(key)))
    if found is None:
        raise NotFoundError
    return found


def _named(key: str) -> ColumnElement[bool]:
    try:
        return col(Community.id) == UUID(key)
    except ValueError:
        return col(Community.slug) == key


async def run_community(session: AsyncSession, *, key: str, viewer: Viewer) -> Community:
    """A community that the viewer runs; raises `NotFoundError` for a stranger to it."""
    found = await community_row(session, key=key)
    if not viewer.runs(found):
        raise NotFoundError
    return found


async def animators(session: AsyncSession, *, key: str, viewer: Viewer) -> list[PersonName]:
    """Who runs a community; raises `ForbiddenError` for who neither appoints nor is one of them."""
    community = await community_row(session, key=key)
    if not viewer.appoints(community) and not viewer.runs(community):
        raise ForbiddenError("Réservé aux personnes qui animent cette communauté.")
    rows = await session.execute(
        select(
            col(CommunityAnimator.person_id),
            col(Profile.last_name),
            col(Profile.first_name),
            col(Profile.job_title),
        )
        .outerjoin(Profile, col(Profile.person_id) == col(CommunityAnimator.person_id))
        .where(col(CommunityAnimator.community_id) == community.id)
        .order_by(col(CommunityAnimator.person_id))
        .limit(200)
    )
    return [name_in(row) for row in rows]


async def own_memberships(session: AsyncSession, *, viewer: UUID) -> list[OwnMembership]:
    """The caller's memberships, newest first, with those refused and ended."""
    rows = await session.execute(
        select(Membership, *_NAMES)
        .join(Community, col(Community.id) == col(Membership.community_id))
        .join(Company, col(Company.id) == col(Membership.company_id))
        .where(col(Membership.person_id) == viewer)
        .order_by(col(Membership.requested_at).desc(), col(Membership.id).desc())
        .limit(500)
    )
    return [
        OwnMembership(
            **row[0].model_dump(),
            community=CommunityRef(id=row[0].community_id, slug=row.slug, name=row.community_name),
            company=CompanyRef(id=row[0].company_id, siret=row.siret, name=row.company_name),
        )
        for row in rows
    ]


async def queue(
    session: AsyncSession,
    *,
    key: str,
    viewer: Viewer,
    state: MembershipState,
    limit: int,
    after: str | None,
) -> MembershipPage:
    """Memberships in one state, oldest first; raises `NotFoundError` for a stranger."""
    community = await run_community(session, key=key, viewer=viewer)
    wanted = (
        _QUEUED.where(col(Membership.community_id) == community.id, col(Membership.state) == state)
        .order_by(col(Membership.requested_at), col(Membership.id))
        .limit(limit + 1)
    )
    last = decode(after, datetime.fromisoformat, UUID)
    if last is not None:
        wanted = wanted.where(
            tuple_(col(Membership.requested_at), col(Membership.id)) > tuple_(*map(literal, last))
        )
    rows, following = cut(
        (await session.execute(wanted)).all(),
        limit,
        lambda row: encode(row[0].requested_at.isoformat(), row[0].id),
    )
    return MembershipPage(items=[_queued(row) for row in rows], next=following)


async def membership(
    session: AsyncSession, *, membership_id: UUID, viewer: Viewer
) -> QueuedMembership:
    """One membership, in whatever state; raises `NotFoundError` for a stranger to its community."""
    found = (
        await session.execute(_QUEUED.where(col(Membership.id) == membership_id))
    ).one_or_none()
    if found is None:
        raise NotFoundError
    await run_community(session, key=str(found[0].community_id), viewer=viewer)
    return _queued(found)


def _queued(row: Any) -> QueuedMembership:
    return QueuedMembership(
        **row[0].model_dump(),
        person=name_in(row),
        company=CompanyRef(id=row[0].company_id, siret=row.siret, name=row.company_name),
    )
