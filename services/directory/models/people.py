"""People as members know each other: profile and photo."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field

from chassis.catalogue import Category, Fate, not_personal, personal, subject
from chassis.tables import Instant
from services.directory.models.base import READERS, Base, one_of


class Profile(Base, table=True):
    """What a member says about themself (N2.2)."""

    person_id: UUID = Field(
        primary_key=True,
        foreign_key="data_subject.live_id",
        sa_column_kwargs=subject(
            Fate.DELETE, "Être connu des membres de ses communautés", recipients=READERS
        ),
    )
    last_name: str = Field(
        max_length=100, sa_column_kwargs=personal(Category.IDENTITY, "Nom", mandatory=True)
    )
    first_name: str = Field(
        max_length=100, sa_column_kwargs=personal(Category.IDENTITY, "Prénom", mandatory=True)
    )
    job_title: str | None = Field(
        default=None,
        max_length=150,
        sa_column_kwargs=personal(Category.PROFESSIONAL, "Fonction"),
    )
    phone: str | None = Field(
        default=None,
        max_length=20,
        sa_column_kwargs=personal(Category.CONTACT, "Téléphone de contact"),
    )
    about: str | None = Field(
        default=None, sa_type=Text, sa_column_kwargs=personal(Category.CONTENT, "À propos de moi")
    )
    skills: list[str] = Field(
        default_factory=list,
        sa_type=ARRAY(Text),
        sa_column_kwargs=personal(Category.PROFESSIONAL, "Compétences"),
    )
    updated_at: datetime = Field(
        sa_type=Instant,
        sa_column_kwargs=personal(Category.TECHNICAL, "Dernière mise à jour du profil"),
    )


class PhotoState(StrEnum):
    """Where a photo's file stands; the row comes before the file and leaves with it."""

    PENDING = "pending"
    """Announced: the file may be there or not."""
    STORED = "stored"
    """The photo that is shown."""
    DISCARDED = "discarded"
    """Replaced or withdrawn: row and file go at the next sweep."""


class Photo(Base, table=True):
    """A member's photo: one that is shown, others on their way in or out."""

    __table_args__ = (
        CheckConstraint(one_of("state", PhotoState), name="state"),
        Index(
            "uq_photo_stored",
            "person_id",
            unique=True,
            postgresql_where=text("state = 'stored'"),
        ),
        Index("ix_photo_leaving", "asked_at", postgresql_where=text("state <> 'stored'")),
    )

    storage_key: str = Field(
        primary_key=True,
        max_length=80,
        sa_column_kwargs=personal(Category.IDENTITY, "Photo", file=True),
    )
    person_id: UUID = Field(
        foreign_key="data_subject.live_id",
        index=True,
        sa_column_kwargs=subject(
            Fate.DELETE, "Être reconnu des membres de ses communautés", recipients=READERS
        ),
    )
    state: str = Field(
        default=PhotoState.PENDING, sa_column_kwargs=not_personal("where the file stands")
    )
    asked_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=personal(Category.TECHNICAL, "Date d'envoi de la photo")
    )
