"""What was broadcast while a partner system was away, and what it said of it afterwards."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, text
from sqlmodel import Field

from chassis.catalogue import not_personal
from chassis.tables import Instant
from services.privacy.models.base import Base


class Missed(Base, table=True):
    """One erasure of which a partner was told after its broadcast, because it had been away.

    No step: it was not asked when the erasure was decided, holds up nobody, and no certificate names it.
    """

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
    times: int = Field(
        default=0, sa_column_kwargs=not_personal("times that it was told since it is back")
    )
    told_at: datetime | None = Field(
        default=None, sa_type=Instant, sa_column_kwargs=not_personal("when it was last told")
    )
    tell_at: datetime = Field(
        sa_type=Instant,
        sa_column_kwargs=not_personal("when to tell it again, unless it has answered"),
    )
    outcome: str | None = Field(
        default=None, sa_column_kwargs=not_personal("what it answered; null until then")
    )
    acknowledged_at: datetime | None = Field(
        default=None, sa_type=Instant, sa_column_kwargs=not_personal("when it answered")
    )

    __table_args__ = (
        Index("ix_missed_participant", "participant", "position"),
        Index("ix_missed_tell_at", "tell_at", postgresql_where=text("outcome IS NULL")),
        CheckConstraint(
            "(outcome IS NULL) = (acknowledged_at IS NULL)", name="answers_have_an_instant"
        ),
    )
