"""Erasures, from the wish to the proof, and the ledger of broadcasts.

Rows about an erasure outlive the person on purpose: opaque ids, counts and instants, the proof that
what was promised was done (GDPR art. 5(2)).
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from chassis.catalogue import Basis, Category, Fate, Hold, not_personal, personal, subject
from chassis.ids import new_id
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
