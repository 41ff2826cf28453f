"""Who looks: what the caller belongs to, and what follows from it."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, exists, false, or_, select, text, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped
from sqlmodel import col

from chassis.auth import Principal, Role
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


def community_run_by(viewer: Viewer) -> ColumnElement[bool]:
    """Condition on `Community`: the viewer runs it, or it belongs to their chamber."""
    return or_(col(Community.id).in_(viewer.animates), col(Community.cci).in_(viewer.ccis))


def _live_membership_run_by(
    viewer: Viewer, *conditions: ColumnElement[bool]
) -> ColumnElement[bool]:
    if not viewer.animates and not viewer.ccis:
        return false()
    return exists(
        select(1)
        .select_from(Membership)
        .join(Community, col(Community.id) == col(Membership.community_id))
        .where(col(Membership.state).in_(LIVE), community_run_by(viewer), *conditions)
    )


def acts_for_company(viewer: Viewer) -> ColumnElement[bool]:
    """Condition on `Company`: the viewer is one of its people."""
    return exists(
        select(1)
        .select_from(Attachment)
        .where(
            col(Attachment.company_id) == col(Company.id),
            col(Attachment.person_id) == viewer.person_id,
            col(Attachment.state) == AttachmentState.ACTIVE,
        )
    )


def can_see_company(viewer: Viewer) -> ColumnElement[bool]:
    """Condition on `Company`: the viewer may read the sheet."""
    if viewer.sees_every_company:
        return true()
    return or_(acts_for_company(viewer), _runs_company(viewer))


def can_see_contact(viewer: Viewer) -> ColumnElement[bool]:
    """Condition on `Company`: a sole trader's phone and e-mail are for members, and for those who
    run one of its communities (N8.1).
    """
    if viewer.member:
        return true()
    return or_(~col(Company.sole_trader), acts_for_company(viewer), _runs_company(viewer))


def _runs_company(viewer: Viewer) -> ColumnElement[bool]:
    return _live_membership_run_by(viewer, col(Membership.company_id) == col(Company.id))


def can_see_company_in(viewer: Viewer) -> ColumnElement[bool]:
    """Condition on `Company` and `Community`: the viewer may know that one belongs to the other."""
    if viewer.sees_every_company:
        return true()
    return or_(col(Community.cci).in_(viewer.ccis), acts_for_company(viewer))


def can_see_person(viewer: Viewer, person: Mapped[UUID]) -> ColumnElement[bool]:
    """Condition on the person of a column: oneself, who shares an active community with the viewer,
    who belongs or asks to belong to a community that the viewer runs, who acts or asks to act for a
    company that the viewer administers.
    """
    shared = select(col(Membership.community_id)).where(
        col(Membership.person_id) == viewer.person_id,
        col(Membership.state) == MembershipState.ACTIVE,
    )
    administered = select(col(Attachment.company_id)).where(
        col(Attachment.person_id) == viewer.person_id,
        col(Attachment.state) == AttachmentState.ACTIVE,
        col(Attachment.role) == "administrator",
    )
    return or_(
        person == viewer.person_id,
        exists(
            select(1)
            .select_from(Membership)
            .where(
                col(Membership.person_id) == person,
                col(Membership.state) == MembershipState.ACTIVE,
                col(Membership.community_id).in_(shared),
            )
        ),
        _live_membership_run_by(viewer, col(Membership.person_id) == person),
        exists(
            select(1)
            .select_from(Attachment)
            .where(
                col(Attachment.person_id) == person, col(Attachment.company_id).in_(administered)
            )
        ),
    )
