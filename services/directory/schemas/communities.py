"""Communities and memberships, as they come in and go out."""

import json
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field, StrictBool, StringConstraints

from chassis.http import Input, Output
from contracts.base import Slug
from services.directory import reference
from services.directory.schemas.companies import CommunityRef
from services.directory.schemas.fields import Optional, line, prose
from services.directory.schemas.people import PersonName


def _department(value: str) -> str:
    if value not in reference.departments():
        raise ValueError("Ce département n'existe pas.")
    return value


def _short(answers: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(answers)) > 20_000:
        raise ValueError("Ces réponses sont trop longues.")
    return answers


class CommunityForm(Input):
    """A new community of a sector, a territory, or both (N1.1)."""

    slug: Annotated[Slug, StringConstraints(min_length=3)]
    name: Annotated[str, line(150)]
    description: Annotated[str, StringConstraints(max_length=2000)] = ""
    cci: Slug
    cci_name: Annotated[str, line(150)] | None = None
    sector: Annotated[Annotated[str, line(150)] | None, Optional] = None
    territory: Annotated[
        list[Annotated[str, StringConstraints(max_length=3), AfterValidator(_department)]],
        Field(max_length=110, default_factory=list),
    ]
    open_joining: StrictBool = False


class CommunityView(Output):
    """A community, for anybody."""

    id: UUID
    slug: Slug
    name: str
    description: str
    cci: Slug
    cci_name: str
    sector: str | None
    territory: list[str]
    open_joining: bool
    companies: int
    """How many companies are active members."""


class ManagedCommunity(Output):
    """A community whose requests the caller answers, as its animator or for its chamber."""

    id: UUID
    slug: Slug
    name: str
    animator: bool
    """Appointed; otherwise as an agent of the chamber."""
    waiting: int
    """How many requests to join wait for an answer."""


class CommunityPage(Output):
    """One page of communities."""

    items: list[CommunityView]
    next: str | None


class AnimatorForm(Input):
    """Who runs the community from now on."""

    person_id: UUID


class AgentForm(Input):
    """Who works for which chamber."""

    person_id: UUID
    cci: Slug


class MembershipForm(Input):
    """A wish to join, for one of the caller's companies."""

    company_id: UUID
    answers: Annotated[dict[str, Any], Field(max_length=100), AfterValidator(_short)] | None = None


class Joined(Output):
    """The membership and whether it waits for the animator."""

    id: UUID
    state: str


class CompanyRef(Output):
    """A company, named."""

    id: UUID
    siret: str
    name: str


class OwnMembership(Output):
    """One of the caller's memberships; `reason` says why it was refused, `decided_as` the role of who
    answered (never a name).
    """

    id: UUID
    community: CommunityRef
    company: CompanyRef
    state: str
    answers: dict[str, Any] | None
    reason: str | None
    requested_at: AwareDatetime
    decided_at: AwareDatetime | None
    decided_as: str | None


class QueuedMembership(Output):
    """A membership, for those who run its community."""

    id: UUID
    community_id: UUID
    person: PersonName
    company: CompanyRef
    state: str
    answers: dict[str, Any] | None
    reason: str | None
    requested_at: AwareDatetime
    decided_at: AwareDatetime | None
    decided_as: str | None
    decided_by: UUID | None


class MembershipPage(Output):
    """One page of a queue, oldest first."""

    items: list[QueuedMembership]
    next: str | None


class Decision(Input):
    """Yes, or no with its reason, which the person reads."""

    grant: StrictBool
    reason: Annotated[Annotated[str, prose(1000)] | None, Optional] = None
