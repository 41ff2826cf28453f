"""Participants, and what they declare."""

from enum import StrEnum
from typing import Annotated, Literal

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
    """Takes part in the next broadcasts; a partner that was removed does not."""
    contact: str | None
    deadline_days: int
    registered_at: AwareDatetime
    open_steps: int
    """Erasures that it has not answered; those of a removed partner are for the DPO to waive."""
    missed: int
    """Erasures broadcast while it was away of which it has said nothing since; they hold up nobody."""


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
