"""The nouns of consultations: calls by buyers, sealed replies, and the few facts of others."""

import hashlib
from base64 import b32encode
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, MetaData, text
from sqlmodel import Field, SQLModel

from chassis.catalogue import Category, Fate, Recipient, not_personal, personal, seal, subject
from chassis.ids import new_id
from chassis.tables import Instant, service_metadata
from contracts.directory import AttachmentRole
from services.consultations.errors import (
    AlreadyWithdrawnError,
    ClosingTimeError,
    LinkMismatchError,
    NotADraftError,
    NotAttachedError,
    NotOpenError,
    NotTheAuthorError,
    OwnConsultationError,
    RepliesElsewhereError,
)
from services.consultations.schemas import Kind, ReplyState, State

METADATA = service_metadata()

LONGEST = timedelta(days=366)
"""A consultation closes at most so long after its publication."""

LIVE = "state = 'submitted'"
"""The predicate of the unique index that gives a company one live reply."""

_COMPANY = "opaque id of a company"
_NO_COMPANY = f"{_COMPANY}; null once its sheet is gone"
_COMMUNITY = "opaque id of a community"
_CONTACT = ("contact_name", "contact_email", "contact_phone")


class Base(SQLModel):
    """Base of the tables."""

    metadata: ClassVar[MetaData] = METADATA


class HasContact(SQLModel):
    """How to reach the person whom the row names, if they wish so; goes with them."""

    contact_name: str | None = Field(
        default=None,
        max_length=120,
        sa_column_kwargs=personal(Category.IDENTITY, "Nom du contact"),
    )
    contact_email: str | None = Field(
        default=None,
        max_length=254,
        sa_column_kwargs=personal(Category.CONTACT, "E-mail du contact"),
    )
    contact_phone: str | None = Field(
        default=None,
        max_length=30,
        sa_column_kwargs=personal(Category.CONTACT, "Téléphone du contact"),
    )

    @property
    def contact(self) -> dict[str, str | None] | None:
        """Name, e-mail and phone, or None when there is nothing to show."""
        found = {name.removeprefix("contact_"): getattr(self, name) for name in _CONTACT}
        return found if any(found.values()) else None


class Consultation(HasContact, Base, table=True):
    """A call by a company: draft → published → closed, or cancelled once it was published.

    It belongs to the company and outlives the account of its author.
    """

    __table_args__ = (
        CheckConstraint("state IN ('draft', 'published', 'closed', 'cancelled')", name="state"),
        CheckConstraint("kind IN ('sourcing', 'private_call', 'public_link')", name="kind"),
        CheckConstraint("(kind = 'public_link') = (external_url IS NOT NULL)", name="link"),
        CheckConstraint("(state = 'draft') = (published_at IS NULL)", name="published"),
        CheckConstraint(
            "(state IN ('closed', 'cancelled')) = (ended_at IS NOT NULL)", name="ended"
        ),
        Index("ix_consultation_due", "state", "closes_at"),
    )

    id: UUID = Field(
        default_factory=new_id, primary_key=True, sa_column_kwargs=not_personal("opaque id")
    )
    company_id: UUID | None = Field(
        default=None, index=True, sa_column_kwargs=not_personal(_NO_COMPANY)
    )
    author_id: UUID | None = Field(
        default=None,
        foreign_key="data_subject.live_id",
        index=True,
        sa_column_kwargs=subject(
            Fate.DETACH,
            "Publier une consultation et permettre aux membres de contacter son auteur",
            recipients=(Recipient.PLATFORM, Recipient.MEMBERS, Recipient.ANIMATOR),
        ),
    )
    title: str = Field(
        max_length=160,
        sa_column_kwargs=not_personal("the company's words; the form says to name nobody"),
    )
    description: str = Field(
        max_length=20_000,
        sa_column_kwargs=not_personal("the company's words; the form says to name nobody"),
    )
    kind: str = Field(sa_column_kwargs=not_personal("kind of call"))
    external_url: str | None = Field(
        default=None,
        max_length=500,
        sa_column_kwargs=not_personal("address of the call on the company's own platform"),
    )
    public: bool = Field(
        default=False, sa_column_kwargs=not_personal("whether visitors may know of it")
    )
    state: str = Field(default=State.DRAFT, sa_column_kwargs=not_personal("state"))
    closes_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=not_personal("end of the call, set by the company")
    )
    created_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=not_personal("age of the company's call")
    )
    published_at: datetime | None = Field(
        default=None, sa_type=Instant, sa_column_kwargs=not_personal("start of the call")
    )
    ended_at: datetime | None = Field(
        default=None, sa_type=Instant, sa_column_kwargs=not_personal("closed or cancelled then")
    )

    def amend(self, *, editor: UUID, **terms: Any) -> None:
        """Set columns of a draft. Whoever gives contact details is the one they are about.

        Raises `NotADraftError`, `LinkMismatchError`.
        """
        if self.state != State.DRAFT:
            raise NotADraftError("Annulez-la, puis publiez-en une autre.")
        if any(terms.get(name) for name in _CONTACT):
            self.author_id = editor
        for name, value in terms.items():
            setattr(self, name, value)
        self.check_link()

    def check_link(self) -> None:
        """Raise `LinkMismatchError` unless it has a link exactly when it is one."""
        if (self.kind == Kind.PUBLIC_LINK) != (self.external_url is not None):
            raise LinkMismatchError(
                "Donnez un lien pour une consultation hébergée ailleurs, et seulement alors."
            )

    def publish(self, *, now: datetime) -> None:
        """Open it to its communities (N1.4). Raises `NotADraftError`, `ClosingTimeError`."""
        if self.state != State.DRAFT:
            raise NotADraftError("Elle est déjà publiée.")
        if not now < self.closes_at <= now + LONGEST:
            raise ClosingTimeError("La clôture doit être à venir, dans un an au plus.")
        self.state, self.published_at = State.PUBLISHED, now

    def close(self, *, now: datetime) -> None:
        """No more replies; the buyer reads those that came. Raises `NotOpenError`."""
        self._end(State.CLOSED, now)

    def cancel(self, *, now: datetime) -> None:
        """Give up without a result; replies stay sealed for good. Raises `NotOpenError`."""
        self._end(State.CANCELLED, now)

    def _end(self, state: State, now: datetime) -> None:
        if self.state != State.PUBLISHED:
            raise NotOpenError("Seule une consultation publiée peut être close ou annulée.")
        self.state, self.ended_at = state, now

    def check_open(self, *, now: datetime) -> None:
        """Replies come and go while it is open. Raises `NotOpenError`, also when time is over."""
        if self.state != State.PUBLISHED or now >= self.closes_at:
            raise NotOpenError("Les réponses ne peuvent plus être déposées ni retirées.")

    def check_reply(self, *, company_id: UUID, now: datetime) -> None:
        """Whether that company may reply now.

        Raises `RepliesElsewhereError`, `OwnConsultationError`, `NotOpenError`.
        """
        if self.kind == Kind.PUBLIC_LINK:
            raise RepliesElsewhereError("Suivez le lien de la consultation pour y répondre.")
        if company_id == self.company_id:
            raise OwnConsultationError("Une entreprise ne répond pas à sa propre consultation.")
        self.check_open(now=now)


class ConsultationCommunity(Base, table=True):
    """A community whose members may read a consultation."""

    __tablename__ = "consultation_community"

    consultation_id: UUID = Field(
        primary_key=True,
        foreign_key="consultation.id",
        ondelete="CASCADE",
        sa_column_kwargs=not_personal("opaque id of a consultation"),
    )
    community_id: UUID = Field(
        primary_key=True,
        foreign_key="community.id",
        index=True,
        sa_column_kwargs=not_personal(_COMMUNITY),
    )


class Reply(HasContact, Base, table=True):
    """A company's answer, typed by one person; sealed until the consultation is closed."""

    __table_args__ = (
        CheckConstraint("state IN ('submitted', 'withdrawn')", name="state"),
        CheckConstraint(
            "state = 'submitted' OR num_nonnulls(message, contact_name, contact_email,"
            " contact_phone) = 0",
            name="withdrawn",
        ),
        CheckConstraint("(state = 'withdrawn') = (withdrawn_at IS NOT NULL)", name="ended"),
        Index(
            "uq_reply_live",
            "consultation_id",
            "company_id",
            unique=True,
            postgresql_where=text(LIVE),
        ),
    )

    id: UUID = Field(
        default_factory=new_id, primary_key=True, sa_column_kwargs=not_personal("opaque id")
    )
    consultation_id: UUID = Field(
        foreign_key="consultation.id",
        index=True,
        sa_column_kwargs=not_personal("opaque id of a consultation"),
    )
    company_id: UUID | None = Field(
        default=None, index=True, sa_column_kwargs=not_personal(_NO_COMPANY)
    )
    person_id: UUID | None = Field(
        default=None,
        foreign_key="data_subject.live_id",
        index=True,
        sa_column_kwargs=subject(
            Fate.DETACH,
            "Répondre à une consultation pour son entreprise",
            recipients=(Recipient.PLATFORM, Recipient.BUYERS),
        ),
    )
    message: str | None = Field(
        default=None,
        max_length=10_000,
        sa_column_kwargs=personal(Category.CONTENT, "Texte de la réponse", mandatory=True),
    )
    state: str = Field(default=ReplyState.SUBMITTED, sa_column_kwargs=not_personal("state"))
    submitted_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=not_personal("when the company replied")
    )
    withdrawn_at: datetime | None = Field(
        default=None,
        sa_type=Instant,
        sa_column_kwargs=not_personal("when the company took it back"),
    )

    @property
    def number(self) -> str:
        """What the receipt is called: the day, and eight characters of the random part of the id."""
        return f"{self.submitted_at:%Y%m%d}-{b32encode(self.id.bytes[-5:]).decode()}"

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the message as UTF-8, so that its author can prove what was sent."""
        return None if self.message is None else hashlib.sha256(self.message.encode()).hexdigest()

    def withdraw(self, *, by: UUID, role: AttachmentRole | None, now: datetime) -> None:
        """Take it back and forget what it said; `role` is what `by` may do for its company.

        Raises `NotAttachedError`, `NotTheAuthorError`, `AlreadyWithdrawnError`.
        """
        if role is None:
            raise NotAttachedError("Adressez-vous à un administrateur de l'entreprise.")
        if by != self.person_id and role is not AttachmentRole.ADMINISTRATOR:
            raise NotTheAuthorError("Adressez-vous à son auteur ou à un administrateur.")
        if self.state == ReplyState.WITHDRAWN:
            raise AlreadyWithdrawnError("Vous pouvez en déposer une autre.")
        self.state, self.withdrawn_at = ReplyState.WITHDRAWN, now
        self.message = self.contact_name = self.contact_email = self.contact_phone = None


class Attachment(Base, table=True):
    """A fact of directory: a person acts for a company."""

    person_id: UUID = Field(
        primary_key=True,
        foreign_key="data_subject.live_id",
        sa_column_kwargs=subject(Fate.DELETE, "Savoir qui agit pour quelle entreprise"),
    )
    company_id: UUID = Field(
        primary_key=True,
        index=True,
        sa_column_kwargs=personal(
            Category.PROFESSIONAL, "Entreprise de rattachement", mandatory=True
        ),
    )
    role: str = Field(
        sa_column_kwargs=personal(Category.PROFESSIONAL, "Rôle dans l'entreprise", mandatory=True)
    )


class Membership(Base, table=True):
    """A fact of directory: a person is a member of a community, for a company.

    It may arrive before its community or its attachment. It counts while the person is attached.
    """

    id: UUID = Field(primary_key=True, sa_column_kwargs=not_personal("opaque id"))
    person_id: UUID = Field(
        foreign_key="data_subject.live_id",
        index=True,
        sa_column_kwargs=subject(
            Fate.DELETE, "Donner accès aux consultations des communautés rejointes"
        ),
    )
    company_id: UUID = Field(
        sa_column_kwargs=personal(Category.PROFESSIONAL, "Entreprise membre", mandatory=True)
    )
    community_id: UUID = Field(
        sa_column_kwargs=personal(Category.PROFESSIONAL, "Communauté rejointe", mandatory=True)
    )


class Animator(Base, table=True):
    """A fact of directory: a person runs a community."""

    person_id: UUID = Field(
        primary_key=True,
        foreign_key="data_subject.live_id",
        sa_column_kwargs=subject(Fate.DELETE, "Savoir qui anime quelle communauté"),
    )
    community_id: UUID = Field(
        primary_key=True, sa_column_kwargs=personal(Category.PROFESSIONAL, "Communauté animée")
    )


class Community(Base, table=True):
    """A fact of directory: a community exists, and which chamber it belongs to (N1.1)."""

    id: UUID = Field(primary_key=True, sa_column_kwargs=not_personal(_COMMUNITY))
    slug: str = Field(max_length=80, sa_column_kwargs=not_personal("its place in addresses"))
    cci: str = Field(max_length=80, sa_column_kwargs=not_personal("the chamber it belongs to"))


catalogue = seal(service="consultations", metadata=METADATA)
