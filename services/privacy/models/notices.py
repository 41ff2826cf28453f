"""Versions of the notice, and who agreed to which."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from chassis.catalogue import Basis, Category, Fate, not_personal, personal, subject
from chassis.ids import new_id
from chassis.tables import Instant
from contracts.privacy import ConsentPurpose
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


class Means(StrEnum):
    """How somebody agreed, or stopped to."""

    SIGN_UP = "sign_up"
    ACCOUNT = "account"
    """In "Mon compte", signed in."""
    OBJECTION = "objection"
    """By a rights request (GDPR art. 21)."""


class Consent(Base, table=True):
    """That a person agreed: to what, to which text, when and how; and when they stopped (N2.4).

    Agreeing again is another row, so that each can be proven.
    """

    __table_args__ = (
        CheckConstraint(
            "(withdrawn_at IS NULL) = (withdrawn_by IS NULL)", name="withdrawn_has_its_means"
        ),
        Index("ix_consent_person_id", "person_id"),
        Index(
            "uq_consent_active",
            "person_id",
            "purpose",
            "notice_version",
            unique=True,
            postgresql_where=text("withdrawn_at IS NULL"),
        ),
    )

    consent_id: UUID = Field(
        default_factory=new_id,
        primary_key=True,
        sa_column_kwargs={
            **not_personal("opaque id"),
            "server_default": text("gen_random_uuid()"),
        },
    )
    person_id: UUID = Field(
        foreign_key="data_subject.live_id",
        sa_column_kwargs=subject(
            Fate.DELETE, "Prouver le consentement", basis=Basis.LEGAL_OBLIGATION
        ),
    )
    purpose: str = Field(
        default=ConsentPurpose.PLATFORM,
        sa_column_kwargs={
            **personal(Category.PREFERENCE, "Finalité acceptée"),
            "server_default": ConsentPurpose.PLATFORM,
        },
    )
    notice_version: str = Field(
        sa_column_kwargs=personal(Category.PREFERENCE, "Version de la notice acceptée"),
    )
    text_hash: str | None = Field(
        default=None, sa_column_kwargs=not_personal("SHA-256 of the published text")
    )
    given_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=personal(Category.PREFERENCE, "Date du consentement")
    )
    given_by: str = Field(
        default=Means.SIGN_UP,
        sa_column_kwargs={
            **personal(Category.PREFERENCE, "Moyen du consentement"),
            "server_default": Means.SIGN_UP,
        },
    )
    withdrawn_at: datetime | None = Field(
        default=None,
        sa_type=Instant,
        sa_column_kwargs=personal(Category.PREFERENCE, "Date du retrait"),
    )
    withdrawn_by: str | None = Field(
        default=None, sa_column_kwargs=personal(Category.PREFERENCE, "Moyen du retrait")
    )
