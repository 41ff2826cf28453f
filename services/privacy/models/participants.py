"""Who must forget when told to, and what each declares to hold."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from chassis.catalogue import not_personal
from chassis.tables import Instant
from services.privacy.models.base import Base


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
    looked_through: int | None = Field(
        default=None,
        sa_type=BigInteger,
        sa_column_kwargs=not_personal(
            "place in the ledger up to which it was asked, or is told what it missed"
        ),
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
