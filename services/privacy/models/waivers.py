"""Steps that the DPO ended although nothing was proven."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint
from sqlmodel import Field

from chassis.catalogue import Basis, Fate, not_personal, subject
from chassis.tables import Instant
from services.privacy.models.base import Base


class Waiver(Base, table=True):
    """The DPO's decision about one step. It stays when the participant proves its part later."""

    erasure_id: UUID = Field(primary_key=True, sa_column_kwargs=not_personal("opaque id"))
    participant: str = Field(primary_key=True, sa_column_kwargs=not_personal("name of a system"))
    reason: str = Field(sa_column_kwargs=not_personal("slug, from a closed list"))
    reference: str | None = Field(
        default=None,
        max_length=40,
        sa_column_kwargs=not_personal("number of a file, in capitals, digits and hyphens"),
    )
    waived_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=not_personal("when it was decided")
    )
    # The decision is the organisation's and stays; who took it leaves with their account.
    waived_by: UUID | None = Field(
        default=None,
        foreign_key="data_subject.live_id",
        index=True,
        sa_column_kwargs=subject(
            Fate.DETACH,
            "Savoir qui a dispensé un système de prouver l'effacement",
            basis=Basis.LEGAL_OBLIGATION,
            retention="5 ans, ou jusqu'à la suppression du compte",
        ),
    )

    __table_args__ = (
        ForeignKeyConstraint(
            ["erasure_id", "participant"],
            ["step.erasure_id", "step.participant"],
            name="fk_waiver_step",
        ),
    )
