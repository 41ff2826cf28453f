"""What the DPO is told about steps that stay open."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, SmallInteger, text
from sqlmodel import Field

from chassis.catalogue import not_personal
from chassis.ids import new_id
from chassis.tables import Instant
from services.privacy.models.base import Base

LEVELS = 4
"""A step escalates at each quarter of its time; at the fourth its time is over."""


class EscalationMail(Base, table=True):
    """One mail to the DPO. Its content is fixed before the first try, so a repeated one is the same."""

    __tablename__ = "escalation_mail"

    mail_id: UUID = Field(
        default_factory=new_id, primary_key=True, sa_column_kwargs=not_personal("opaque id")
    )
    composed_at: datetime = Field(
        sa_type=Instant, index=True, sa_column_kwargs=not_personal("when its content was fixed")
    )
    attempts: int = Field(default=0, sa_column_kwargs=not_personal("tries to send it"))
    due_at: datetime = Field(sa_type=Instant, sa_column_kwargs=not_personal("next try to send it"))
    sent_at: datetime | None = Field(
        default=None,
        sa_type=Instant,
        sa_column_kwargs=not_personal("when the mail server had accepted it"),
    )

    __table_args__ = (
        Index("ix_escalation_mail_unsent", "due_at", postgresql_where=text("sent_at IS NULL")),
    )


class Escalation(Base, table=True):
    """That a step was still open when a quarter of its time was over; once per level."""

    erasure_id: UUID = Field(primary_key=True, sa_column_kwargs=not_personal("opaque id"))
    participant: str = Field(primary_key=True, sa_column_kwargs=not_personal("name of a system"))
    level: int = Field(
        primary_key=True,
        sa_type=SmallInteger,
        sa_column_kwargs=not_personal("quarters of the step's time that were over"),
    )
    escalated_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=not_personal("when it was noticed")
    )
    mail_id: UUID | None = Field(
        default=None,
        foreign_key="escalation_mail.mail_id",
        index=True,
        sa_column_kwargs=not_personal("the mail that tells of it"),
    )

    __table_args__ = (
        ForeignKeyConstraint(
            ["erasure_id", "participant"],
            ["step.erasure_id", "step.participant"],
            name="fk_escalation_step",
        ),
        Index("ix_escalation_untold", "escalated_at", postgresql_where=text("mail_id IS NULL")),
        CheckConstraint(f"level BETWEEN 1 AND {LEVELS}", name="level_is_a_quarter"),
    )
