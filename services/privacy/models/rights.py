"""Requests about one's data (GDPR art. 15 to 21): their states, their clock, and who wrote what.

What proves that a request was answered in time stays for years and holds opaque ids and dates only.
What identifies its author - address, message, mails - stands apart and goes much sooner.
"""

from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlmodel import Field

from chassis.catalogue import Basis, Category, Fate, Hold, not_personal, personal, subject
from chassis.ids import new_id
from chassis.tables import Instant
from contracts.privacy import Right
from services.privacy.errors import (
    DeadlinePassedError,
    LinkExpiredError,
    RequestStateError,
)
from services.privacy.models.base import Base
from services.privacy.models.deadlines import last_day

LINK_LIFETIME = timedelta(hours=24)
CONTACT_KEPT = timedelta(days=60)
"""How long address, message and mails outlive the answer: time enough to come back to it."""
LINKS_PER_ADDRESS = 3
"""Mails with a link to one address in 24 hours: nobody's mailbox is filled through the form."""

RIGHTS_PROOF = Hold(
    rule="rights-proof",
    source="RGPD art. 5(2) et 12(3) : prouver qu'une demande a reçu sa réponse à temps ; "
    "Code civil art. 2224",
    days=5 * 365,
)


class Channel(StrEnum):
    """How a request came in."""

    FORM = "form"
    ACCOUNT = "account"
    LETTER = "letter"


class RightsState(StrEnum):
    """Where a request stands."""

    UNCONFIRMED = "unconfirmed"
    """The mailed link was not followed; it disappears with the link."""
    OPEN = "open"
    IDENTITY_CHECK = "identity_check"
    """Identity is reasonably doubted (GDPR art. 12(6)): the clock stands still."""
    ANSWERED = "answered"
    REFUSED = "refused"


WAITING = (RightsState.OPEN, RightsState.IDENTITY_CHECK)
CLOSED = (RightsState.ANSWERED, RightsState.REFUSED)


class RightsStep(StrEnum):
    """What the timeline of a request tells."""

    RECEIVED = "received"
    CONFIRMED = "confirmed"
    IDENTITY_DOUBTED = "identity_doubted"
    IDENTITY_CHECKED = "identity_checked"
    EXTENDED = "extended"
    ERASURE_STARTED = "erasure_started"
    EXPORT_STARTED = "export_started"
    PROCESSING_STOPPED = "processing_stopped"
    ANSWERED = "answered"
    REFUSED = "refused"
    ERASED = "erased"
    MAIL_UNDELIVERABLE = "mail_undeliverable"


class ActorRole(StrEnum):
    """Who did a step. Names stand nowhere."""

    PERSON = "person"
    AGENT = "agent"
    DPO = "dpo"
    PLATFORM = "platform"


class MailTemplate(StrEnum):
    """The mails about a request: files of `templates/rights/`."""

    LINK = "link"
    LETTER_LINK = "letter_link"
    RECEIVED = "received"
    IDENTITY_DOUBTED = "identity_doubted"
    EXTENDED = "extended"
    REFUSED = "refused"
    NOTHING_HELD = "nothing_held"
    DONE = "done"
    OBJECTION = "objection"
    RESTRICTION = "restriction"


LINKS = (MailTemplate.LINK, MailTemplate.LETTER_LINK)


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


_requester: Any = partial(personal, of="subject_id")
_PROVEN: Any = subject(
    Fate.KEEP,
    "Répondre à vos demandes de droits, et le prouver",
    basis=Basis.LEGAL_OBLIGATION,
    retention="5 ans après la réponse",
    hold=RIGHTS_PROOF,
)
_ANSWERED: Any = subject(
    Fate.DELETE,
    "Vous répondre quand vous exercez vos droits",
    basis=Basis.LEGAL_OBLIGATION,
    retention=f"{CONTACT_KEPT.days} jours après la réponse",
)


class RightsRequest(Base, table=True):
    """One request. Its subject is the account, or the request itself when there is no account."""

    __tablename__ = "rights_request"
    __table_args__ = (
        _one_of("kind", Right),
        _one_of("channel", Channel),
        _one_of("state", RightsState),
        CheckConstraint("(state = 'unconfirmed') = (expires_at IS NOT NULL)", name="expiry"),
        CheckConstraint("(state = 'identity_check') = (paused_on IS NOT NULL)", name="pause"),
        CheckConstraint(
            "(state IN ('answered', 'refused')) = (closed_at IS NOT NULL)", name="closing"
        ),
        Index(
            "ix_rights_request_waiting",
            "due_on",
            postgresql_where=text("state IN ('open', 'identity_check')"),
        ),
        Index("ix_rights_request_closed", "closed_at", "request_id"),
        Index("ix_rights_request_expires_at", "expires_at"),
    )

    request_id: UUID = Field(
        default_factory=new_id, primary_key=True, sa_column_kwargs=not_personal("opaque id")
    )
    subject_id: UUID = Field(foreign_key="data_subject.id", index=True, sa_column_kwargs=_PROVEN)
    has_account: bool = Field(
        default=False, sa_column_kwargs=_requester(Category.TECHNICAL, "Compte trouvé")
    )
    kind: str = Field(sa_column_kwargs=_requester(Category.CONTENT, "Droit exercé"))
    channel: str = Field(sa_column_kwargs=_requester(Category.TECHNICAL, "Voie de la demande"))
    state: str = Field(sa_column_kwargs=_requester(Category.TECHNICAL, "État de la demande"))
    received_on: date = Field(
        sa_column_kwargs=_requester(Category.CONTENT, "Date de réception de la demande")
    )
    due_on: date = Field(sa_column_kwargs=not_personal("last day to answer"))
    extended: bool = Field(default=False, sa_column_kwargs=not_personal("two months more"))
    paused_on: date | None = Field(
        default=None, sa_column_kwargs=not_personal("since when the clock stands still")
    )
    paused_days: int = Field(
        default=0, sa_column_kwargs=not_personal("days for which the clock stood still")
    )
    closed_at: datetime | None = Field(
        default=None,
        sa_type=Instant,
        sa_column_kwargs=_requester(Category.CONTENT, "Date de la réponse"),
    )
    expires_at: datetime | None = Field(
        default=None, sa_type=Instant, sa_column_kwargs=not_personal("end of the mailed link")
    )
    erasure_id: UUID | None = Field(
        default=None,
        foreign_key="erasure.erasure_id",
        ondelete="SET NULL",
        index=True,
        sa_column_kwargs=not_personal("opaque id of the erasure it led to"),
    )
    key_hash: str | None = Field(
        default=None, sa_column_kwargs=not_personal("SHA-256 of the random key that follows it")
    )

    def _must_be(self, *states: RightsState) -> None:
        if self.state not in states:
            raise RequestStateError("Rechargez la demande : son état a changé.", state=self.state)

    def _count(self) -> None:
        self.due_on = last_day(
            self.received_on, extended=self.extended, paused_days=self.paused_days
        )

    def confirm(self, *, now: datetime) -> None:
        """Its author controls the address. Raises `LinkExpiredError`, `RequestStateError`."""
        self._must_be(RightsState.UNCONFIRMED)
        if self.expires_at is None or now >= self.expires_at:
            raise LinkExpiredError("Faites une nouvelle demande.")
        self.state, self.expires_at = RightsState.OPEN, None

    def doubt(self, *, today: date) -> None:
        """Identity is reasonably doubted: the clock stops (GDPR art. 12(6))."""
        self._must_be(RightsState.OPEN)
        self.state, self.paused_on = RightsState.IDENTITY_CHECK, today

    def check_identity(self, *, today: date) -> None:
        """Identity is established: the clock goes on, later by the days it stood still."""
        self._must_be(RightsState.IDENTITY_CHECK)
        self.paused_days += max((today - (self.paused_on or today)).days, 0)
        self.state, self.paused_on = RightsState.OPEN, None
        self._count()

    def extend(self, *, today: date) -> None:
        """Two months more, once, told inside the first (GDPR art. 12(3)).

        Raises `RequestStateError`, `DeadlinePassedError`.
        """
        self._must_be(RightsState.OPEN)
        if self.extended:
            raise RequestStateError("Le délai a déjà été prolongé : il ne peut l'être qu'une fois.")
        if today > self.due_on:
            raise DeadlinePassedError("La prolongation doit être annoncée dans le premier mois.")
        self.extended = True
        self._count()

    def answer(self, *, now: datetime) -> None:
        """It has its answer."""
        self._must_be(RightsState.OPEN)
        self.state, self.closed_at = RightsState.ANSWERED, now

    def refuse(self, *, now: datetime) -> None:
        """It is refused, with reasons and remedies (GDPR art. 12(4)), or nobody proved to be its author."""
        self._must_be(*WAITING)
        self.state, self.closed_at, self.paused_on = RightsState.REFUSED, now, None

    def close_erased(self, *, now: datetime) -> None:
        """Its subject was erased everywhere: that answers whatever was asked."""
        self._must_be(*WAITING)
        self.state, self.closed_at, self.paused_on = RightsState.ANSWERED, now, None

    def days_left(self, *, today: date) -> int:
        """Days until the last one; negative when it is over. A clock that stands still counts none."""
        return (self.due_on - (self.paused_on or today)).days


class RightsContact(Base, table=True):
    """How to reach the author of a request, and what they wrote: sealed, and gone soon after."""

    __tablename__ = "rights_contact"
    __table_args__ = (Index("ix_rights_contact_address", "address_hmac", "asked_at"),)

    request_id: UUID = Field(
        primary_key=True,
        foreign_key="rights_request.request_id",
        ondelete="CASCADE",
        sa_column_kwargs=not_personal("opaque id"),
    )
    subject_id: UUID = Field(
        foreign_key="data_subject.live_id", index=True, sa_column_kwargs=_ANSWERED
    )
    address_hmac: str | None = Field(
        default=None,
        sa_column_kwargs=_requester(Category.CONTACT, "Adresse e-mail (pseudonyme)", secret=True),
    )
    sealed_address: bytes | None = Field(
        default=None,
        sa_column_kwargs=_requester(Category.CONTACT, "Adresse e-mail (chiffrée)", secret=True),
    )
    sealed_postal_address: bytes | None = Field(
        default=None,
        sa_column_kwargs=_requester(Category.CONTACT, "Adresse postale (chiffrée)", secret=True),
    )
    sealed_message: bytes | None = Field(
        default=None,
        sa_column_kwargs=_requester(Category.CONTENT, "Message (chiffré)", secret=True),
    )
    sealed_identity: bytes | None = Field(
        default=None,
        sa_column_kwargs=_requester(
            Category.IDENTITY, "Moyen de vérifier l'identité (chiffré)", secret=True
        ),
    )
    asked_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=_requester(Category.CONNECTION, "Instant de la demande")
    )


class RightsMail(Base, table=True):
    """A mail about a request: waits to be sent, then shows what was answered."""

    __tablename__ = "rights_mail"
    __table_args__ = (
        _one_of("template", MailTemplate),
        Index("ix_rights_mail_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    )

    id: UUID = Field(
        default_factory=new_id, primary_key=True, sa_column_kwargs=not_personal("opaque id")
    )
    request_id: UUID = Field(
        foreign_key="rights_request.request_id",
        ondelete="CASCADE",
        index=True,
        sa_column_kwargs=not_personal("opaque id"),
    )
    subject_id: UUID = Field(
        foreign_key="data_subject.live_id", index=True, sa_column_kwargs=_ANSWERED
    )
    template: str = Field(sa_column_kwargs=not_personal("kind of mail, from a closed list"))
    sealed_words: bytes | None = Field(
        default=None,
        sa_column_kwargs=_requester(Category.CONTENT, "Réponse (chiffrée)", secret=True),
    )
    token_hash: str | None = Field(
        default=None,
        unique=True,
        sa_column_kwargs=not_personal("SHA-256 of a random secret, once it is sent"),
    )
    created_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=_requester(Category.CONTENT, "Date du message")
    )
    attempts: int = Field(default=0, sa_column_kwargs=not_personal("tries to send it"))
    due_at: datetime | None = Field(
        default=None,
        sa_type=Instant,
        sa_column_kwargs=not_personal("next try to send it; null when there is none"),
    )
    sent_at: datetime | None = Field(
        default=None,
        sa_type=Instant,
        sa_column_kwargs=_requester(Category.CONTENT, "Date d'envoi du message"),
    )

    def check_link(self, *, now: datetime) -> None:
        """Raise `LinkExpiredError` when the time of its link is over."""
        if now >= self.created_at + LINK_LIFETIME:
            raise LinkExpiredError("Faites une nouvelle demande.")


class RightsEvent(Base, table=True):
    """One line of a request's timeline: who did what when."""

    __tablename__ = "rights_event"
    __table_args__ = (_one_of("step", RightsStep), _one_of("actor_role", ActorRole))

    id: UUID = Field(
        default_factory=new_id, primary_key=True, sa_column_kwargs=not_personal("opaque id")
    )
    request_id: UUID = Field(
        foreign_key="rights_request.request_id",
        ondelete="CASCADE",
        index=True,
        sa_column_kwargs=not_personal("opaque id"),
    )
    subject_id: UUID = Field(foreign_key="data_subject.id", index=True, sa_column_kwargs=_PROVEN)
    step: str = Field(sa_column_kwargs=_requester(Category.CONTENT, "Étape de la demande"))
    at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=_requester(Category.CONTENT, "Date de l'étape")
    )
    actor_role: str = Field(sa_column_kwargs=not_personal("role, from a closed list"))
    actor_id: UUID | None = Field(
        default=None,
        foreign_key="data_subject.live_id",
        index=True,
        sa_column_kwargs=subject(
            Fate.DETACH, "Savoir qui a traité une demande de droits", basis=Basis.LEGAL_OBLIGATION
        ),
    )
