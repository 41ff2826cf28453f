"""Who looks: what the caller belongs to, and what follows from it."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, false, or_, select, text, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, aliased
from sqlmodel import col

from chassis.auth import Principal, Role
from contracts.directory import AttachmentRole
from services.directory.models import (
    LIVE,
    Attachment,
    AttachmentState,
    Community,
    Company,
    Membership,
    MembershipState,
)


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """A person who looks at the directory."""

    person_id: UUID
    operator: bool
    member: bool
    """Has an active membership somewhere."""
    animates: frozenset[UUID]
    """Communities that the person runs."""
    ccis: frozenset[str]
    """Chambers that the person works for."""

    @property
    def sees_every_company(self) -> bool:
        """Members and animators share the whole directory; an agent sees their chamber's only."""
        return self.member or bool(self.animates)

    def runs(self, community: Community) -> bool:
        """Whether the person may work with the members of a community."""
        return community.id in self.animates or community.cci in self.ccis

    def appoints(self, community: Community) -> bool:
        """Whether the person may say who runs a community."""
        return self.operator or community.cci in self.ccis


_VIEWER = text(
    """
    SELECT EXISTS (SELECT 1 FROM membership WHERE person_id = :person AND state = 'active'),
           ARRAY(SELECT community_id FROM community_animator WHERE person_id = :person),
           ARRAY(SELECT cci FROM cci_agent WHERE person_id = :person)
    """
)


async def viewer_of(session: AsyncSession, *, user: Principal) -> Viewer:
    """The caller with what they belong to; one statement."""
    member, animates, ccis = (await session.execute(_VIEWER, {"person": user.account_id})).one()
    return Viewer(
        person_id=user.account_id,
        operator=user.has(Role.OPERATOR),
        member=member,
        animates=frozenset(animates),
        ccis=frozenset(ccis),
    )


# Under names of their own: the query around a condition may read the same tables.
_Membership = aliased(Membership)
_Community = aliased(Community)
_Attachment = aliased(Attachment)
_Theirs = aliased(Membership)
_Job = aliased(Attachment)


def _acts(person: UUID) -> ColumnElement[bool]:
    return and_(
        col(_Attachment.person_id) == person,
        col(_Attachment.state) == AttachmentState.ACTIVE,
    )


def _run_by(viewer: Viewer, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """A live membership under these conditions, in a community that the viewer runs."""
    if not viewer.animates and not viewer.ccis:
        return false()
    return exists(
        select(1)
        .select_from(_Membership)
        .join(_Community, col(_Community.id) == col(_Membership.community_id))
        .where(
            col(_Membership.state).in_(LIVE),
            or_(col(_Community.id).in_(viewer.animates), col(_Community.cci).in_(viewer.ccis)),
            *conditions,
        )
    )


def _runs_company(viewer: Viewer) -> ColumnElement[bool]:
    return _run_by(viewer, col(_Membership.company_id) == col(Company.id))


def acts_for_company(
    viewer: Viewer, company_id: ColumnElement[UUID] | Mapped[UUID]
) -> ColumnElement[bool]:
    """Condition on the company in a column: the viewer is one of its people."""
    return company_id.in_(select(col(_Attachment.company_id)).where(_acts(viewer.person_id)))


def can_see_company(viewer: Viewer) -> ColumnElement[bool]:
    """Condition on `Company`: the viewer may read the sheet."""
    if viewer.sees_every_company:
        return true()
    return or_(acts_for_company(viewer, col(Company.id)), _runs_company(viewer))


def can_see_contact(viewer: Viewer) -> ColumnElement[bool]:
    """Condition on `Company`: the viewer may read how to reach it.

    A sole trader's phone and e-mail are for members and for those who run one of its communities
    (N8.1).
    """
    if viewer.member:
        return true()
    return or_(
        ~col(Company.sole_trader),
        acts_for_company(viewer, col(Company.id)),
        _runs_company(viewer),
    )


def can_see_company_in(
    viewer: Viewer, company_id: ColumnElement[UUID] | Mapped[UUID]
) -> ColumnElement[bool]:
    """Condition on `Community`: the viewer may know that the company belongs to it."""
    if viewer.sees_every_company:
        return true()
    return or_(col(Community.cci).in_(viewer.ccis), acts_for_company(viewer, company_id))


def can_see_person(viewer: Viewer, person: Mapped[UUID]) -> ColumnElement[bool]:
    """Condition on the person in a column.

    It is oneself, shares an active community with the viewer, belongs or asks to belong to a
    community that the viewer runs, or acts or asks to act for a company that the viewer administers.
    """
    me = viewer.person_id
    shared = select(col(_Membership.community_id)).where(
        col(_Membership.person_id) == me, col(_Membership.state) == MembershipState.ACTIVE
    )
    administered = select(col(_Attachment.company_id)).where(
        _acts(me), col(_Attachment.role) == AttachmentRole.ADMINISTRATOR
    )
    return or_(
        person == me,
        exists(
            select(1)
            .select_from(_Theirs)
            .where(
                col(_Theirs.person_id) == person,
                col(_Theirs.state) == MembershipState.ACTIVE,
                col(_Theirs.community_id).in_(shared),
            )
        ),
        _run_by(viewer, col(_Membership.person_id) == person),
        exists(
            select(1)
            .select_from(_Job)
            .where(col(_Job.person_id) == person, col(_Job.company_id).in_(administered))
        ),
    )
