"""What consultations reads and answers over HTTP, and the vocabulary of its states."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    HttpUrl,
    StrictBool,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic.json_schema import SkipJsonSchema

from chassis.http import Input, Output


class Kind(StrEnum):
    """What a buyer asks for. None of them is a public procurement procedure."""

    SOURCING = "sourcing"
    PRIVATE_CALL = "private_call"
    PUBLIC_LINK = "public_link"
    """A pointer to a call on the buyer's own platform; replies are taken there."""


class State(StrEnum):
    """Where a consultation stands."""

    DRAFT = "draft"
    PUBLISHED = "published"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class ReplyState(StrEnum):
    """Where a reply stands."""

    SUBMITTED = "submitted"
    WITHDRAWN = "withdrawn"
    """Taken back: what it said is gone."""


def _address(value: str) -> str:
    try:
        return validate_email(value, check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        raise ValueError("Ce n'est pas une adresse e-mail.") from None


def _instant(value: datetime) -> datetime:
    """In UTC, and in a year that every database and calendar can tell."""
    if not 2000 <= value.year < 2200:
        raise ValueError("Cette date n'est pas plausible.")
    return value.astimezone(UTC)


def _link(value: str) -> str:
    """A web address as it is written in ASCII; no other scheme, so that nothing runs on a click."""
    try:
        written = str(_WEB.validate_python(value))
    except ValidationError:
        raise ValueError("Une adresse web (https://…) est attendue.") from None
    if len(written) > 500:
        raise ValueError("Trop long : 500 caractères au plus.")
    return written


_WEB = TypeAdapter(HttpUrl)

Instant = Annotated[AwareDatetime, AfterValidator(_instant)]
Title = Annotated[str, StringConstraints(min_length=3, max_length=160)]
Description = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
Message = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=120)]
Email = Annotated[str, StringConstraints(max_length=254), AfterValidator(_address)]
Phone = Annotated[str, StringConstraints(max_length=30, pattern=r"^\+?[0-9][0-9 ().-]{4,}$")]
Link = Annotated[str, StringConstraints(max_length=500), AfterValidator(_link)]
Communities = Annotated[list[UUID], Field(min_length=1, max_length=20)]


class Contact(Input):
    """How to reach the caller; every part is optional, and goes with the account (N2.1)."""

    name: Name | None = None
    email: Email | None = None
    phone: Phone | None = None


class _WithContact(Input):
    contact: Contact | None = None

    def columns(self, *, leave_out: set[str]) -> dict[str, Any]:
        """What was given, by column."""
        given = self.model_dump(exclude_unset=True, exclude={"contact", *leave_out})
        if "contact" in self.model_fields_set:
            contact = self.contact or Contact()
            given |= {f"contact_{name}": value for name, value in contact}
        return given


class NewConsultation(_WithContact):
    """A draft. Title and description are the company's words: they should name nobody."""

    company_id: UUID | None = Field(
        default=None, description="Nécessaire quand vous avez plusieurs entreprises"
    )
    title: Title
    description: Description
    kind: Kind
    external_url: Link | None = None
    communities: Communities
    closes_at: Instant
    public: StrictBool = Field(
        default=False, description="Les visiteurs en voient le titre, l'entreprise et la date"
    )


class DraftChange(_WithContact):
    """What is to change in a draft; `null` takes the contact or the link away."""

    title: Title | SkipJsonSchema[None] = None
    description: Description | SkipJsonSchema[None] = None
    kind: Kind | SkipJsonSchema[None] = None
    external_url: Link | None = None
    communities: Communities | SkipJsonSchema[None] = None
    closes_at: Instant | SkipJsonSchema[None] = None
    public: StrictBool | SkipJsonSchema[None] = None

    def columns(self, *, leave_out: set[str]) -> dict[str, Any]:
        """See above; a mandatory field cannot be taken away."""
        return {
            name: value
            for name, value in super().columns(leave_out=leave_out).items()
            if value is not None or name == "external_url" or name.startswith("contact_")
        }


class CommunityView(Output):
    """A community and the chamber it belongs to."""

    id: UUID
    slug: str
    cci: str


class ConsultationSummary(Output):
    """What lists show, and all that a visitor sees of a public consultation."""

    id: UUID
    company_id: UUID | None
    """Null: the company has left the platform."""
    title: str
    kind: Kind
    state: State
    public: bool
    communities: list[CommunityView]
    closes_at: AwareDatetime
    published_at: AwareDatetime | None


class ContactView(Output):
    """How to reach a person, as far as they said."""

    name: str | None
    email: str | None
    phone: str | None


class ConsultationDetail(ConsultationSummary):
    """What the buyer's company, the members and the animators of its communities see."""

    description: str
    external_url: str | None
    author_id: UUID | None
    """Null: the account was deleted."""
    contact: ContactView | None
    created_at: AwareDatetime
    ended_at: AwareDatetime | None
    mine: bool
    """Whether the caller acts for its company."""
    replies: int | None
    """How many companies have replied; for the buyer's company only."""


class ConsultationPage(Output):
    """Consultations, newest first; `next` is the cursor of the following page."""

    items: list[ConsultationSummary]
    next: str | None


class NewReply(_WithContact):
    """A company's answer; sealed until the consultation is closed."""

    company_id: UUID
    message: Message


class Receipt(Output):
    """What proves a reply: `sha256` is over the message as UTF-8."""

    number: str
    submitted_at: AwareDatetime
    sha256: str | None


class ReplyView(Output):
    """A reply, as its company sees it at any time, and the buyer's once it is opened."""

    id: UUID
    consultation_id: UUID
    company_id: UUID | None
    """Null: the company has left the platform."""
    author_id: UUID | None
    """Null: the account was deleted, and the message with it."""
    state: ReplyState
    message: str | None
    contact: ContactView | None
    withdrawn_at: AwareDatetime | None
    receipt: Receipt


class RepliedCall(Output):
    """The consultation that a reply is about."""

    id: UUID
    company_id: UUID | None
    title: str
    state: State
    closes_at: AwareDatetime


class OwnReply(ReplyView):
    """A reply of the caller's or of their company's, with what it is about."""

    consultation: RepliedCall


class OwnReplyPage(Output):
    """The caller's replies, newest first; `next` is the cursor of the following page."""

    items: list[OwnReply]
    next: str | None


class ReplyPage(Output):
    """Replies, newest first; `next` is the cursor of the following page."""

    items: list[ReplyView]
    next: str | None
