"""What privacy reads and answers over HTTP."""

from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, EmailStr, Field, StringConstraints

from chassis.http import Input, Output
from contracts.base import Slug


class ParticipantKind(StrEnum):
    """Who takes part in erasures."""

    SERVICE = "service"
    """Shows signed evidence for each table."""
    PARTNER = "partner"
    """A system of somebody else: the broker vouches for who speaks, its word is what we have."""


ErasureState = Literal["open", "completed", "escalated"]


class Counts(Output):
    """Rows of one person at one participant."""

    deleted: int = 0
    detached: int = 0
    kept: int = 0


class StepView(Output):
    """One participant's part; without an outcome it is still open."""

    participant: str
    outcome: str | None = None
    counts: Counts | None = None
    acknowledged_at: AwareDatetime | None = None


class ErasureView(Output):
    """Where an erasure stands. `certificate` is its address, once every step is proven."""

    erasure_id: UUID
    state: ErasureState
    requested_at: AwareDatetime
    completed_at: AwareDatetime | None = None
    due_by: AwareDatetime
    steps: list[StepView]
    certificate: str | None = None


class ErasureSummary(Output):
    """A line of the DPO's list."""

    erasure_id: UUID
    state: ErasureState
    reason: str
    requested_at: AwareDatetime
    completed_at: AwareDatetime | None
    open_steps: list[str]


class ErasurePage(Output):
    """A page of the DPO's list, newest first."""

    items: list[ErasureSummary]
    next: str | None = None


class SignedCertificate(Output):
    """The certificate to read, and the JWS (RFC 7515) whose payload it is."""

    certificate: dict[str, Any]
    jws: str


class NewParticipant(Input):
    """A partner system; `contact` is a functional address of its organisation."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,40}$")]
    contact: EmailStr
    deadline_days: Annotated[int, Field(ge=1, le=30)] = 30


class ParticipantCredentials(Output):
    """How the partner connects; the password is shown this once."""

    name: str
    user: str
    password: str
    vhost: str
    queue: str
    exchange: str
    routing_key: str


class ParticipantView(Output):
    """A participant of erasures."""

    name: str
    kind: ParticipantKind
    active: bool
    deadline_days: int
    registered_at: AwareDatetime


class RefusalView(Output):
    """An answer that proved nothing."""

    refused_at: AwareDatetime
    sender: str | None
    position: int | None
    cause: str


class ConsentView(Output):
    """What the caller agreed to, and when."""

    notice_version: str
    given_at: AwareDatetime


class _Hold(BaseModel):
    rule: Slug
    source: str


class _Subject(BaseModel):
    purpose: str
    basis: str
    recipients: list[str]
    retention: str
    fate: str
    hold: _Hold | None = None


class _NotPersonal(BaseModel):
    kind: Literal["not_personal"]


class _Personal(BaseModel):
    kind: Literal["personal"]
    label: str
    category: str
    mandatory: bool
    of: str


class _Table(BaseModel):
    subjects: dict[str, _Subject]
    columns: dict[str, _Personal | _NotPersonal]


class DeclaredManifest(BaseModel):
    """What a manifest must say so that evidence, the notice and the register can rest on it."""

    service: Slug
    tables: dict[str, _Table]


class HeldData(Output):
    """One thing the platform may hold about a person."""

    label: str
    category: str
    mandatory: bool


class Processing(Output):
    """One table of one service, as the notice and the register tell it (GDPR art. 13 and 30)."""

    service: str
    table: str
    purpose: str
    basis: str
    recipients: list[str]
    retention: str
    fate: str
    kept_under: str | None = None
    data: list[HeldData]


class NoticeView(Output):
    """The notice in force, with the tables generated from what the services declare."""

    version: str
    in_force_from: AwareDatetime
    content: dict[str, Any]
    processing: list[Processing]


class RegisterView(Output):
    """The register of processing (GDPR art. 30)."""

    generated_at: AwareDatetime
    manifests: dict[str, str]
    processing: list[Processing]
