"""Copies of their own data that people ask for."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field

from chassis.catalogue import Basis, Category, Fate, not_personal, personal, subject
from chassis.ids import new_id
from chassis.tables import Instant
from services.privacy.models.base import Base

EXPORT_KEPT = timedelta(days=7)
"""From the moment it is ready; then file and row are gone."""
EXPORT_PATIENCE = timedelta(hours=24)
"""How long a service that does not answer is waited for. Then the others' data are handed over, and
the archive, the mail and the interface say who is missing.
"""
EXPORTS_PER_DAY = 3


class ExportState(StrEnum):
    """Where an export stands."""

    WAITING = "waiting"
    """The services are being asked, or will be asked again."""
    READY = "ready"
    FAILED = "failed"
    """It could not be written in a day; the person may ask for another one."""


class Export(Base, table=True):
    """An archive for one person, which only the key that they were shown opens."""

    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'ready', 'failed')", name="state"),
        CheckConstraint(
            "(state = 'ready') = (ready_at IS NOT NULL AND size IS NOT NULL)", name="ready"
        ),
        CheckConstraint("(state = 'waiting') = (due_at IS NOT NULL)", name="waits"),
        Index(
            "uq_export_running",
            "person_id",
            unique=True,
            postgresql_where=text("state = 'waiting'"),
        ),
    )

    id: UUID = Field(
        default_factory=new_id, primary_key=True, sa_column_kwargs=not_personal("opaque id")
    )
    person_id: UUID = Field(
        foreign_key="data_subject.live_id",
        index=True,
        sa_column_kwargs=subject(
            Fate.DELETE,
            "Vous remettre une copie de vos données",
            basis=Basis.LEGAL_OBLIGATION,
            retention=f"{EXPORT_KEPT.days}d",
        ),
    )
    state: str = Field(
        default=ExportState.WAITING,
        sa_column_kwargs=personal(Category.TECHNICAL, "État de la copie"),
    )
    requested_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=personal(Category.CONNECTION, "Demande d'une copie")
    )
    public_key: bytes = Field(
        sa_column_kwargs=not_personal("public half of the key that the person alone holds")
    )
    storage_key: str = Field(
        max_length=80,
        unique=True,
        # Secret, so that an archive does not contain the earlier ones.
        sa_column_kwargs=personal(
            Category.TECHNICAL, "Copie de vos données (chiffrée)", file=True, secret=True
        ),
    )
    attempts: int = Field(default=0, sa_column_kwargs=not_personal("tries to write it"))
    due_at: datetime | None = Field(
        sa_type=Instant,
        index=True,
        sa_column_kwargs=not_personal("next try to write it; null when it is over"),
    )
    ready_at: datetime | None = Field(
        default=None,
        sa_type=Instant,
        sa_column_kwargs=personal(Category.TECHNICAL, "Date de la copie"),
    )
    expires_at: datetime = Field(
        sa_type=Instant, index=True, sa_column_kwargs=not_personal("file and row go then")
    )
    size: int | None = Field(
        default=None, sa_type=BigInteger, sa_column_kwargs=not_personal("bytes of the archive")
    )
    missing: list[str] = Field(
        default_factory=list,
        sa_type=ARRAY(Text),
        sa_column_kwargs=not_personal("names of services that could not be asked"),
    )
    mails: int = Field(default=0, sa_column_kwargs=not_personal("tries to say that it is ready"))
    tell_at: datetime | None = Field(
        default=None,
        sa_type=Instant,
        index=True,
        sa_column_kwargs=not_personal("next try to say that it is ready; null when said"),
    )

    def finish(self, *, size: int, missing: list[str], now: datetime) -> None:
        """The archive is stored; its week begins."""
        self.state, self.size, self.missing = ExportState.READY, size, missing
        self.ready_at = self.tell_at = now
        self.due_at, self.expires_at = None, now + EXPORT_KEPT

    def try_later(self, *, now: datetime) -> None:
        """Somebody does not answer: ask again, less and less often."""
        self.attempts += 1
        self.due_at = now + timedelta(seconds=min(5 * 2**self.attempts, 600))

    def fail(self) -> None:
        """It will not be written."""
        self.state, self.due_at = ExportState.FAILED, None

    def told(self) -> None:
        """The mail was accepted, or there is nobody to write to."""
        self.tell_at = None

    def tell_later(self, *, now: datetime) -> None:
        """The mail could not be sent: try again, less and less often."""
        self.mails += 1
        self.tell_at = now + timedelta(seconds=min(5 * 2**self.mails, 3600))
