"""The nouns of the demo: plain values, not rows of any service."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

Role = Literal["buyer", "animator", "agent", "dpo", "operator"]


@dataclass(frozen=True, slots=True)
class Community:
    id: UUID
    slug: str
    name: str
    cci: str
    description: str
    sector: str | None
    naf_divisions: tuple[str, ...]
    departments: tuple[str, ...]
    opened_at: datetime
    animator_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Company:
    id: UUID
    siret: str
    name: str
    legal_form: str
    sole_trader: bool
    naf: str
    street: str
    postcode: str
    commune_code: str
    town: str
    phone: str
    email: str | None
    website: str | None
    social: tuple[str, ...]
    activity: str | None
    created_at: datetime
    community_id: UUID
    generated: bool = True


@dataclass(frozen=True, slots=True)
class Person:
    id: UUID
    email: str
    first_name: str
    last_name: str
    job_title: str | None
    phone: str | None
    about: str | None
    skills: tuple[str, ...]
    roles: frozenset[Role]
    cci: str | None  # of animators and agents
    created_at: datetime
    verified_at: datetime | None
    last_seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class Attachment:
    id: UUID
    person_id: UUID
    company_id: UUID
    role: Literal["administrator", "member"]
    since: datetime


@dataclass(frozen=True, slots=True)
class Membership:
    id: UUID
    person_id: UUID
    company_id: UUID
    community_id: UUID
    state: Literal["active", "pending", "refused"]
    requested_at: datetime
    decided_at: datetime | None
    decided_by: UUID | None


@dataclass(frozen=True, slots=True)
class Consultation:
    id: UUID
    company_id: UUID
    author: Person
    community_id: UUID
    title: str
    description: str
    state: Literal["draft", "published", "closed"]
    created_at: datetime
    published_at: datetime | None
    closes_at: datetime

    @property
    def author_id(self) -> UUID:
        return self.author.id


@dataclass(frozen=True, slots=True)
class Reply:
    id: UUID
    consultation_id: UUID
    company_id: UUID
    author_id: UUID
    message: str
    submitted_at: datetime


Record = Community | Company | Person | Attachment | Membership | Consultation | Reply
