"""Profiles and people, as they come in and go out."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field

from chassis.http import Input, Output
from contracts.directory import AttachmentRole
from services.directory.schemas.fields import Optional, Phone, line, prose


def _known_once(skills: list[str]) -> list[str]:
    seen: dict[str, str] = {}
    for skill in skills:
        seen.setdefault(skill.casefold(), skill)
    return list(seen.values())


class ProfileForm(Input):
    """What a member says about themself: two names are mandatory, the rest is theirs to give (N2.2)."""

    last_name: Annotated[str, line(100)]
    first_name: Annotated[str, line(100)]
    job_title: Annotated[Annotated[str, line(150)] | None, Optional] = None
    phone: Annotated[Phone | None, Optional] = None
    about: Annotated[Annotated[str, prose(2000)] | None, Optional] = None
    skills: Annotated[
        list[Annotated[str, line(60)]],
        Field(max_length=20, default_factory=list),
        AfterValidator(_known_once),
    ]


class ProfileView(Output):
    """The caller's own profile."""

    person_id: UUID
    last_name: str
    first_name: str
    job_title: str | None
    phone: str | None
    about: str | None
    skills: list[str]
    photo: bool
    updated_at: AwareDatetime


class Workplace(Output):
    """A company that a person acts for."""

    id: UUID
    name: str
    role: AttachmentRole


class PersonView(Output):
    """A member, for those who may see them."""

    id: UUID
    last_name: str
    first_name: str
    job_title: str | None
    phone: str | None
    about: str | None
    skills: list[str]
    photo: bool
    companies: list[Workplace]


class PersonName(Output):
    """Who somebody is, in a list; the names are null while the person has no profile."""

    id: UUID
    last_name: str | None = None
    first_name: str | None = None
    job_title: str | None = None
