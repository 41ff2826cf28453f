"""Erasures, from the wish to the proof, and the ledger of broadcasts.

Rows about an erasure outlive the person on purpose: opaque ids, counts and instants, the proof that
what was promised was done (GDPR art. 5(2)).
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, SmallInteger, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from chassis.catalogue import Basis, Category, Fate, Hold, not_personal, personal, subject
from chassis.ids import new_id
from chassis.rights import REFUSED
from chassis.tables import Instant
from contracts.privacy import Reason
from services.privacy.models.base import Base

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
        {"info": {REFUSED: ("DELETE",)}},  # the ledger only grows
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
    keep_until: datetime | None = Field(
        default=None,
        sa_type=Instant,
        sa_column_kwargs=not_personal("until when the proof stays, as the certificate tells it"),
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
        Index(
            "ix_erasure_keep_until", "keep_until", postgresql_where=text("keep_until IS NOT NULL")
        ),
        CheckConstraint(
            "(completed_at IS NULL) = (certificate IS NULL)", name="completed_means_certified"
        ),
    )


class ErasureAlias(Base, table=True):
    """Another wish of somebody whose erasure is under way, or done: it shares state and proof."""

    __tablename__ = "erasure_alias"

    alias_id: UUID = Field(primary_key=True, sa_column_kwargs=not_personal("opaque id"))
    erasure_id: UUID = Field(
        foreign_key="erasure.erasure_id",
        index=True,
        sa_column_kwargs=not_personal("opaque id of the erasure that it follows"),
    )
    requested_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=not_personal("instant of the request")
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
    escalated: int = Field(
        default=0,
        sa_type=SmallInteger,
        sa_column_kwargs={
            **not_personal("quarters of its time after which the DPO was told"),
            "server_default": "0",
        },
    )
    escalate_at: datetime | None = Field(
        default=None,
        sa_type=Instant,
        # A row that says nothing, as of an earlier release, is looked at once.
        sa_column_kwargs={
            **not_personal("when to tell the DPO next, if it is still open"),
            "server_default": text("'epoch'"),
        },
    )

    __table_args__ = (
        Index("ix_step_open", "position", postgresql_where=text("outcome IS NULL")),
        Index("ix_step_escalate_at", "escalate_at", postgresql_where=text("outcome IS NULL")),
        CheckConstraint(
            "(outcome IS NULL OR outcome = 'waived') = (acknowledged_at IS NULL)",
            name="proven_steps_have_an_instant",
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
        sa_column_kwargs=personal(Category.CONTACT, "Adresse e-mail (chiffrée)", secret=True)
    )
    destroy_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=not_personal("destroyed then at the latest")
    )
    attempts: int = Field(default=0, sa_column_kwargs=not_personal("tries to send it"))
    due_at: datetime = Field(
        sa_type=Instant, index=True, sa_column_kwargs=not_personal("next try to send it")
    )


class Refusal(Base, table=True):
    """Answers that prove nothing: forged, foreign, incomplete. The DPO sees them.

    One row per sender, cause and hour, however many they are: who floods fills no table.
    """

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
    hour: datetime | None = Field(
        default=None, sa_type=Instant, sa_column_kwargs=not_personal("the hour in which they came")
    )
    times: int = Field(
        default=1,
        sa_type=BigInteger,
        sa_column_kwargs={**not_personal("how many there were"), "server_default": "1"},
    )

    __table_args__ = (
        Index(
            "uq_refusal_hour",
            "hour",
            "sender",
            "cause",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=text("hour IS NOT NULL"),
        ),
    )
