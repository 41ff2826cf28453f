"""Versions of the notice, and who agreed to which."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from chassis.catalogue import Basis, Category, Fate, not_personal, personal, subject
from chassis.ids import new_id
from chassis.tables import Instant
from services.privacy.models.base import Base


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
