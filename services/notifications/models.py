"""The nouns of notifications: who belongs where, who wants mail, what is told to whom."""

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import partial
from typing import Any, ClassVar, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import CheckConstraint, Index, MetaData, text
from sqlmodel import Field, SQLModel

from chassis.catalogue import Basis, Category, Fate, not_personal, personal, seal, subject
from chassis.ids import new_id
from chassis.tables import Instant, service_metadata
from services.notifications.schemas import Frequency

METADATA = service_metadata()

GIVE_UP_AFTER = timedelta(days=5)
"""A mail that no server took in this time is not sent any more (RFC 5321, section 4.5.4.1)."""
LONGEST_PAUSE = timedelta(hours=1)
DELIVERIES_KEPT = timedelta(days=180)
"""How long it is remembered that a mail was sent: longer than a consultation is open."""
NOTICES_KEPT = timedelta(days=365)
_PARIS = ZoneInfo("Europe/Paris")
_MORNING = time(8)


class Base(SQLModel):
    """Base of the tables of notifications."""

    metadata: ClassVar[MetaData] = METADATA


class Kind(StrEnum):
    """What a notice or a mail is about."""

    MEMBERSHIP_GRANTED = "membership_granted"
    MEMBERSHIP_REFUSED = "membership_refused"
    MEMBERSHIP_REQUESTED = "membership_requested"
    """For the animators of the community, who decide."""
    CONSULTATION_PUBLISHED = "consultation_published"
    NOTICE_PUBLISHED = "notice_published"
    """A new version of the data-protection notice (N8.2)."""
    RETENTION_WARNING = "retention_warning"
    """The account will be deleted unless its owner joins a community (N3.1)."""


class Offer(NamedTuple):
    """How far somebody may choose about a kind of message; the label is theirs, in French."""

    label: str
    mail: bool = False
    site: bool = False
    rhythm: bool = False
    """Whether mails may be gathered into one a day or a week."""


OFFERS = {
    Kind.CONSULTATION_PUBLISHED: Offer(
        "Consultations ouvertes dans mes communautés", mail=True, site=True, rhythm=True
    ),
    Kind.MEMBERSHIP_GRANTED: Offer("Mes demandes d'adhésion acceptées", mail=True),
    Kind.MEMBERSHIP_REFUSED: Offer("Mes demandes d'adhésion refusées", mail=True),
    Kind.MEMBERSHIP_REQUESTED: Offer("Demandes d'adhésion que j'ai à traiter", mail=True),
}
"""A kind that is not here is necessary: nobody can refuse it. What stays on the site is the answer to
somebody's own request, or their task."""


def next_mail(frequency: Frequency, now: datetime) -> datetime:
    """When a mail that is ready now should go: at once, or at eight in the morning in Paris."""
    if frequency is Frequency.AT_ONCE:
        return now
    local = now.astimezone(_PARIS)
    day = local.date() + timedelta(days=1 if local.time() >= _MORNING else 0)
    if frequency is Frequency.WEEKLY:
        day += timedelta(days=-day.weekday() % 7)
    return datetime.combine(day, _MORNING, _PARIS).astimezone(UTC)


class Choice(StrEnum):
    """Whether somebody wants a newsletter."""

    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    REFUSED = "refused"
    """Before becoming a member: the newsletter will not come with it."""


class DeliveryState(StrEnum):
    """Where a mail stands."""

    DUE = "due"
    SENT = "sent"
    FAILED = "failed"
    """The server refused it for good, nobody took it for five days, or there is no address."""


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


class Community(Base, table=True):
    """What directory told about a community."""

    id: UUID = Field(primary_key=True, sa_column_kwargs=not_personal("id of a community"))
    slug: str = Field(max_length=80, sa_column_kwargs=not_personal("public name of a community"))
    cci: str = Field(max_length=80, sa_column_kwargs=not_personal("public name of a chamber"))


class Consultation(Base, table=True):
    """What consultations told about a consultation."""

    id: UUID = Field(primary_key=True, sa_column_kwargs=not_personal("id of a consultation"))
    closes_at: datetime = Field(
        sa_type=Instant, index=True, sa_column_kwargs=not_personal("end of a consultation")
    )


class NoticeVersion(Base, table=True):
    """What privacy told about a version of the data-protection notice."""

    __tablename__ = "notice_version"

    id: UUID = Field(primary_key=True, sa_column_kwargs=not_personal("id of a version"))
    in_force_from: datetime = Field(
        sa_type=Instant, sa_column_kwargs=not_personal("when a version comes into force")
    )


class RetentionWarning(Base, table=True):
    """What privacy wants somebody to know: until when their account is kept (N3.1)."""

    __tablename__ = "retention_warning"

    id: UUID = Field(primary_key=True, sa_column_kwargs=not_personal("opaque id of a warning"))
    person_id: UUID = Field(
        foreign_key="data_subject.live_id",
        index=True,
        sa_column_kwargs=subject(
            Fate.DELETE, "Prévenir avant de supprimer un compte", basis=Basis.LEGAL_OBLIGATION
        ),
    )
    until: date = Field(
        sa_column_kwargs=personal(Category.CONTENT, "Dernier jour de conservation annoncé")
    )
    notice_days: int = Field(
        sa_column_kwargs=not_personal("full days between the mail and that day")
    )

    def ends(self, *, sent_on: date) -> date:
        """The last day that a mail of that day names."""
        return max(self.until, sent_on + timedelta(days=self.notice_days))


class Animator(Base, table=True):
    """Who runs a community, and is told when somebody asks to join it."""

    person_id: UUID = Field(
        primary_key=True,
        foreign_key="data_subject.live_id",
        sa_column_kwargs=subject(
            Fate.DELETE, "Prévenir les animateurs des demandes d'adhésion", basis=Basis.CONTRACT
        ),
    )
    community_id: UUID = Field(
        primary_key=True,
        index=True,
        sa_column_kwargs=personal(Category.PROFESSIONAL, "Communauté animée"),
    )


class Membership(Base, table=True):
    """Who belongs to a community; somebody with two companies may belong twice."""

    id: UUID = Field(primary_key=True, sa_column_kwargs=not_personal("opaque id of a membership"))
    person_id: UUID = Field(
        foreign_key="data_subject.live_id",
        index=True,
        sa_column_kwargs=subject(Fate.DELETE, "Informer les membres de leurs communautés"),
    )
    community_id: UUID = Field(
        index=True, sa_column_kwargs=personal(Category.PROFESSIONAL, "Communauté")
    )


class Subscription(Base, table=True):
    """Whether a person wants the newsletter of a community (N4.2, N7.1).

    It stays after somebody left, so that the links in old mails still answer.
    """

    __table_args__ = (
        _one_of("state", Choice),
        Index("uq_subscription_person_id_community_id", "person_id", "community_id", unique=True),
        Index(
            "ix_subscription_subscribed",
            "community_id",
            "person_id",
            postgresql_where=text(f"state = '{Choice.SUBSCRIBED}'"),
        ),
    )

    id: UUID = Field(
        default_factory=new_id,
        primary_key=True,
        sa_column_kwargs=not_personal("opaque id of a subscription, named in unsubscribe links"),
    )
    person_id: UUID = Field(
        foreign_key="data_subject.live_id",
        sa_column_kwargs=subject(Fate.DELETE, "Envoyer les lettres d'information choisies"),
    )
    community_id: UUID = Field(
        sa_column_kwargs=personal(Category.PREFERENCE, "Communauté de la lettre")
    )
    state: str = Field(sa_column_kwargs=personal(Category.PREFERENCE, "Abonnement à la lettre"))
    changed_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=personal(Category.PREFERENCE, "Date du choix")
    )


class Preference(Base, table=True):
    """What a person chose about a kind of message; without a row everything comes, at once."""

    __table_args__ = (_one_of("kind", Kind), _one_of("frequency", Frequency))

    person_id: UUID = Field(
        primary_key=True,
        foreign_key="data_subject.live_id",
        sa_column_kwargs=subject(
            Fate.DELETE, "Écrire comme la personne l'a choisi", basis=Basis.CONTRACT
        ),
    )
    kind: str = Field(
        primary_key=True, sa_column_kwargs=personal(Category.PREFERENCE, "Type de message")
    )
    mail: bool = Field(default=True, sa_column_kwargs=personal(Category.PREFERENCE, "Par courriel"))
    site: bool = Field(default=True, sa_column_kwargs=personal(Category.PREFERENCE, "Sur le site"))
    frequency: str = Field(
        default=Frequency.AT_ONCE,
        sa_column_kwargs=personal(Category.PREFERENCE, "Rythme des courriels"),
    )
    changed_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=personal(Category.PREFERENCE, "Date du choix")
    )


_of_reader = partial(personal, of="person_id")


def _reader(purpose: str, kept: timedelta) -> dict[str, Any]:
    return subject(Fate.DELETE, purpose, basis=Basis.CONTRACT, retention=f"{kept.days}d")


_ABOUT = subject(
    Fate.DELETE, "Dire à l'animateur qui demande à rejoindre la communauté", basis=Basis.CONTRACT
)
"""Somebody else whom it is about: when they are forgotten, what was told about them is, too."""


class Notice(Base, table=True):
    """A line in somebody's inbox on the site."""

    __table_args__ = (
        _one_of("kind", Kind),
        Index("uq_notice_person_id_kind_target_id", "person_id", "kind", "target_id", unique=True),
        Index("ix_notice_inbox", "person_id", "created_at", "id"),
        Index("ix_notice_target_id", "target_id"),
    )

    id: UUID = Field(
        primary_key=True,
        sa_column_kwargs={
            **not_personal("opaque id of a notice"),
            "server_default": text("gen_random_uuid()"),
        },
    )
    person_id: UUID = Field(
        foreign_key="data_subject.live_id",
        sa_column_kwargs=_reader("Informer sur le site", NOTICES_KEPT),
    )
    about_id: UUID | None = Field(
        default=None, foreign_key="data_subject.live_id", index=True, sa_column_kwargs=_ABOUT
    )
    kind: str = Field(sa_column_kwargs=_of_reader(Category.CONTENT, "Objet de l'avis"))
    target_id: UUID = Field(sa_column_kwargs=_of_reader(Category.CONTENT, "Sujet de l'avis"))
    community_id: UUID | None = Field(
        default=None, sa_column_kwargs=_of_reader(Category.CONTENT, "Communauté")
    )
    created_at: datetime = Field(
        sa_type=Instant,
        index=True,
        sa_column_kwargs=_of_reader(Category.CONTENT, "Date de l'avis"),
    )
    read_at: datetime | None = Field(
        default=None,
        sa_type=Instant,
        sa_column_kwargs=_of_reader(Category.CONNECTION, "Date de lecture"),
    )


class Delivery(Base, table=True):
    """A mail to one person: what it is about, and whether it has gone. Never an address."""

    __table_args__ = (
        _one_of("kind", Kind),
        _one_of("state", DeliveryState),
        CheckConstraint("(state = 'due') = (due_at IS NOT NULL)", name="due_has_its_time"),
        CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", name="sent_has_its_time"),
        Index(
            "uq_delivery_person_id_kind_target_id", "person_id", "kind", "target_id", unique=True
        ),
        Index("ix_delivery_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_delivery_target_id", "target_id"),
    )

    id: UUID = Field(
        primary_key=True,
        sa_column_kwargs={
            **not_personal("opaque id of a mail"),
            "server_default": text("gen_random_uuid()"),
        },
    )
    person_id: UUID = Field(
        foreign_key="data_subject.live_id",
        sa_column_kwargs=_reader("Informer par courriel", DELIVERIES_KEPT),
    )
    about_id: UUID | None = Field(
        default=None, foreign_key="data_subject.live_id", index=True, sa_column_kwargs=_ABOUT
    )
    kind: str = Field(sa_column_kwargs=_of_reader(Category.CONTENT, "Objet du courriel"))
    target_id: UUID = Field(sa_column_kwargs=_of_reader(Category.CONTENT, "Sujet du courriel"))
    community_id: UUID | None = Field(
        default=None, sa_column_kwargs=_of_reader(Category.CONTENT, "Communauté")
    )
    subscription_id: UUID | None = Field(
        default=None,
        foreign_key="subscription.id",
        index=True,
        sa_column_kwargs=not_personal("the subscription that its unsubscribe link ends"),
    )
    state: str = Field(
        default=DeliveryState.DUE,
        sa_column_kwargs=_of_reader(Category.TECHNICAL, "État de l'envoi"),
    )
    attempts: int = Field(default=0, sa_column_kwargs=not_personal("tries to send it"))
    created_at: datetime = Field(
        sa_type=Instant,
        index=True,
        sa_column_kwargs=_of_reader(Category.CONTENT, "Date de l'événement"),
    )
    due_at: datetime | None = Field(
        sa_type=Instant, sa_column_kwargs=not_personal("next try to send it; null when it is over")
    )
    sent_at: datetime | None = Field(
        default=None,
        sa_type=Instant,
        sa_column_kwargs=_of_reader(Category.CONTENT, "Date d'envoi"),
    )

    def sent(self, now: datetime) -> None:
        """A server has accepted it."""
        self.state, self.due_at, self.sent_at = DeliveryState.SENT, None, now

    def fail(self) -> None:
        """It will never be sent."""
        self.state, self.due_at = DeliveryState.FAILED, None

    def try_later(self, now: datetime) -> None:
        """No server took it: wait longer each time, and give up after five days."""
        self.attempts += 1
        if now - self.created_at >= GIVE_UP_AFTER:
            self.fail()
        else:
            self.due_at = now + min(
                timedelta(seconds=5 * 2 ** min(self.attempts, 10)), LONGEST_PAUSE
            )


catalogue = seal(service="notifications", metadata=METADATA)
