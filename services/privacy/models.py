"""The nouns of privacy: erasures and their proof, participants, notices, consents.

Rows about an erasure outlive the person on purpose: opaque ids, counts and instants, the proof that
what was promised was done (GDPR art. 5(2)).
"""

from calendar import monthrange
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, MetaData, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from chassis.catalogue import Basis, Category, Fate, Hold, not_personal, personal, seal, subject
from chassis.ids import new_id
from chassis.tables import Instant, service_metadata
from contracts.privacy import Reason

METADATA = service_metadata()

PROOF = Hold(
    rule="erasure-proof",
    source="RGPD art. 5(2) et 17(3)(e) : preuve de l'effacement, identifiants opaques seulement",
    days=5 * 365,
)
LAST_MESSAGE = Hold(
    rule="last-message",
    source="RGPD art. 12(3) : informer la personne du résultat ; détruite dès l'envoi",
    days=30,
)


class Base(SQLModel):
    """Base of privacy's tables."""

    metadata: ClassVar[MetaData] = METADATA


def one_month_after(instant: datetime) -> datetime:
    """The same-numbered day of the next month, or its last day (GDPR art. 12(3))."""
    year, month = divmod(instant.year * 12 + instant.month, 12)
    month += 1
    return instant.replace(year=year, month=month, day=min(instant.day, monthrange(year, month)[1]))


class Participant(Base, table=True):
    """Somebody who must forget when told to. Frozen into the steps of each broadcast."""

    name: str = Field(primary_key=True, sa_column_kwargs=not_personal("name of a system"))
    kind: str = Field(sa_column_kwargs=not_personal("kind of system"))
    broker_user: str = Field(
        unique=True, sa_column_kwargs=not_personal("name of the system's broker user")
    )
    public_key: dict[str, Any] | None = Field(
        default=None, sa_type=JSONB, sa_column_kwargs=not_personal("public key of a service")
    )
    contact: str | None = Field(
        default=None,
        max_length=254,
        sa_column_kwargs=not_personal("functional address of an organisation, asked as such"),
    )
    deadline_days: int = Field(default=30, sa_column_kwargs=not_personal("days to answer"))
    active: bool = Field(default=True, sa_column_kwargs=not_personal("takes part in what comes"))
    registered_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=not_personal("when the system was registered")
    )

    __table_args__ = (
        CheckConstraint(
            "(kind = 'service') = (public_key IS NOT NULL)", name="services_sign_partners_do_not"
        ),
    )


class Manifest(Base, table=True):
    """What a service announced to hold about people. Evidence under another one is not accepted."""

    participant: str = Field(
        primary_key=True,
        foreign_key="participant.name",
        sa_column_kwargs=not_personal("name of a system"),
    )
    manifest_hash: str = Field(
        primary_key=True, sa_column_kwargs=not_personal("hash of the manifest")
    )
    manifest: dict[str, Any] = Field(
        sa_type=JSONB, sa_column_kwargs=not_personal("tables and columns, never people")
    )
    announced_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=not_personal("when it was last announced")
    )


class Broadcast(Base, table=True):
    """One entry of the ledger: who must be forgotten, chained to the entry before."""

    position: int = Field(
        primary_key=True,
        sa_type=BigInteger,
        sa_column_kwargs={**not_personal("place in the ledger"), "autoincrement": False},
    )
    broadcast_id: UUID = Field(unique=True, sa_column_kwargs=not_personal("opaque id"))
    entry: dict[str, Any] = Field(
        sa_type=JSONB, sa_column_kwargs=not_personal("opaque ids of people and erasures only")
    )
    entry_hash: str = Field(unique=True, sa_column_kwargs=not_personal("hash of the entry"))
    reserved_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=not_personal("when the position was taken")
    )
    sent_at: datetime | None = Field(
        default=None,
        sa_type=Instant,
        sa_column_kwargs=not_personal("when the command went into the outbox"),
    )
    chases: int = Field(default=0, sa_column_kwargs=not_personal("times it was sent again"))
    chase_at: datetime | None = Field(
        default=None,
        sa_type=Instant,
        sa_column_kwargs=not_personal("when to send it again; null when all have answered"),
    )

    __table_args__ = (
        Index("ix_broadcast_unsent", "position", postgresql_where=text("sent_at IS NULL")),
        Index("ix_broadcast_chase", "chase_at", postgresql_where=text("chase_at IS NOT NULL")),
    )


class Erasure(Base, table=True):
    """One person's erasure, from the wish to the proof."""

    erasure_id: UUID = Field(primary_key=True, sa_column_kwargs=not_personal("opaque id"))
    subject_id: UUID = Field(
        foreign_key="data_subject.id",
        index=True,
        sa_column_kwargs=subject(
            Fate.KEEP,
            "Prouver que l'effacement a été fait",
            basis=Basis.LEGAL_OBLIGATION,
            retention="5 ans",
            hold=PROOF,
        ),
    )
    reason: str = Field(
        default=Reason.SELF_SERVICE, sa_column_kwargs=not_personal("why, from a closed list")
    )
    requested_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=not_personal("instant of the request, part of the proof")
    )
    due_by: datetime = Field(sa_type=Instant, sa_column_kwargs=not_personal("legal deadline"))
    position: int | None = Field(
        default=None,
        sa_type=BigInteger,
        foreign_key="broadcast.position",
        index=True,
        sa_column_kwargs=not_personal("place in the ledger, once broadcast"),
    )
    completed_at: datetime | None = Field(
        default=None, sa_type=Instant, sa_column_kwargs=not_personal("when all had proven it")
    )
    certificate: str | None = Field(
        default=None, sa_column_kwargs=not_personal("signed proof: opaque ids, counts, instants")
    )

    __table_args__ = (
        # One active erasure per person at any instant, whatever doors it came through.
        Index(
            "uq_erasure_active",
            "subject_id",
            unique=True,
            postgresql_where=text("completed_at IS NULL"),
        ),
        Index(
            "ix_erasure_waiting",
            "requested_at",
            postgresql_where=text("position IS NULL"),
        ),
        CheckConstraint(
            "(completed_at IS NULL) = (certificate IS NULL)", name="completed_means_certified"
        ),
    )


class Step(Base, table=True):
    """One participant's part in one erasure. Open until proven."""

    erasure_id: UUID = Field(
        primary_key=True,
        foreign_key="erasure.erasure_id",
        sa_column_kwargs=not_personal("opaque id"),
    )
    participant: str = Field(
        primary_key=True,
        foreign_key="participant.name",
        sa_column_kwargs=not_personal("name of a system"),
    )
    position: int = Field(
        sa_type=BigInteger,
        foreign_key="broadcast.position",
        sa_column_kwargs=not_personal("place in the ledger"),
    )
    due_by: datetime = Field(
        sa_type=Instant, sa_column_kwargs=not_personal("when this participant must have answered")
    )
    outcome: str | None = Field(
        default=None, sa_column_kwargs=not_personal("how it ended; null while open")
    )
    manifest_hash: str | None = Field(
        default=None, sa_column_kwargs=not_personal("manifest under which it was proven")
    )
    tables: dict[str, Any] | None = Field(
        default=None, sa_type=JSONB, sa_column_kwargs=not_personal("counts by table")
    )
    acknowledged_at: datetime | None = Field(
        default=None, sa_type=Instant, sa_column_kwargs=not_personal("when it was proven")
    )

    __table_args__ = (
        Index("ix_step_open", "position", postgresql_where=text("outcome IS NULL")),
        CheckConstraint(
            "(outcome IS NULL) = (acknowledged_at IS NULL)", name="proven_steps_have_an_instant"
        ),
    )


class LastMessage(Base, table=True):
    """The sealed address for the one mail that says it is done; destroyed once that is sent."""

    __tablename__ = "last_message"

    erasure_id: UUID = Field(
        primary_key=True,
        foreign_key="erasure.erasure_id",
        sa_column_kwargs=not_personal("opaque id"),
    )
    subject_id: UUID = Field(
        foreign_key="data_subject.id",
        index=True,
        sa_column_kwargs=subject(
            Fate.KEEP,
            "Vous dire que l'effacement est terminé",
            basis=Basis.LEGAL_OBLIGATION,
            retention="jusqu'à l'envoi, 30 jours au plus",
            hold=LAST_MESSAGE,
        ),
    )
    sealed_address: bytes = Field(
        sa_column_kwargs=personal(Category.CONTACT, "Adresse e-mail (chiffrée)")
    )
    destroy_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=not_personal("destroyed then at the latest")
    )
    attempts: int = Field(default=0, sa_column_kwargs=not_personal("tries to send it"))
    due_at: datetime = Field(
        sa_type=Instant, index=True, sa_column_kwargs=not_personal("next try to send it")
    )


class Refusal(Base, table=True):
    """An answer that proves nothing: forged, foreign, incomplete. The DPO sees them."""

    id: UUID = Field(
        default_factory=new_id, primary_key=True, sa_column_kwargs=not_personal("opaque id")
    )
    refused_at: datetime = Field(
        sa_type=Instant, index=True, sa_column_kwargs=not_personal("when it came")
    )
    sender: str | None = Field(
        default=None, sa_column_kwargs=not_personal("broker user that the broker vouched for")
    )
    position: int | None = Field(
        default=None, sa_type=BigInteger, sa_column_kwargs=not_personal("claimed place")
    )
    cause: str = Field(sa_column_kwargs=not_personal("slug, from a closed list"))


class Notice(Base, table=True):
    """A version of the data-protection notice (N8.2); its tables come from the manifests."""

    version: str = Field(primary_key=True, sa_column_kwargs=not_personal("version of the notice"))
    notice_id: UUID = Field(default_factory=new_id, sa_column_kwargs=not_personal("opaque id"))
    in_force_from: datetime = Field(
        sa_type=Instant, index=True, sa_column_kwargs=not_personal("start of validity")
    )
    content: dict[str, Any] = Field(
        sa_type=JSONB, sa_column_kwargs=not_personal("the published text")
    )


class Consent(Base, table=True):
    """That a person agreed, to which version, and when (N2.4)."""

    person_id: UUID = Field(
        primary_key=True,
        foreign_key="data_subject.live_id",
        sa_column_kwargs=subject(
            Fate.DELETE, "Prouver le consentement", basis=Basis.LEGAL_OBLIGATION
        ),
    )
    notice_version: str = Field(
        primary_key=True,
        sa_column_kwargs=personal(Category.PREFERENCE, "Version de la notice acceptée"),
    )
    given_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=personal(Category.PREFERENCE, "Date du consentement")
    )


catalogue = seal(service="privacy", metadata=METADATA)
