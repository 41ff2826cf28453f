"""Communities, who runs them, who belongs to them."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field

from chassis.catalogue import Basis, Category, Fate, Recipient, not_personal, personal, subject
from chassis.ids import new_id
from chassis.tables import Instant
from services.directory.errors import AlreadyDecidedError, ReasonNeededError
from services.directory.models.base import Base, one_of


class Community(Base, table=True):
    """Companies of a sector and/or a territory, attached to a chamber (N1.1)."""

    __table_args__ = (
        CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name="slug"),
        CheckConstraint("cci ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name="cci"),
        Index("ix_community_order", "name", "id"),
    )

    id: UUID = Field(
        default_factory=new_id, primary_key=True, sa_column_kwargs=not_personal("opaque id")
    )
    slug: str = Field(
        max_length=80, unique=True, sa_column_kwargs=not_personal("place in addresses")
    )
    name: str = Field(max_length=150, sa_column_kwargs=not_personal("name of a community"))
    description: str = Field(
        default="", sa_type=Text, sa_column_kwargs=not_personal("what the community is for")
    )
    cci: str = Field(
        max_length=80, index=True, sa_column_kwargs=not_personal("slug of the chamber")
    )
    cci_name: str = Field(max_length=150, sa_column_kwargs=not_personal("name of the chamber"))
    sector: str | None = Field(
        default=None, max_length=150, sa_column_kwargs=not_personal("sector of the companies")
    )
    territory: list[str] = Field(
        default_factory=list,
        sa_type=ARRAY(Text),
        sa_column_kwargs=not_personal("codes of departments; empty: everywhere"),
    )
    open_joining: bool = Field(
        default=False, sa_column_kwargs=not_personal("whether joining needs no approval")
    )
    opened_at: datetime = Field(sa_type=Instant, sa_column_kwargs=not_personal("opening"))


class CommunityAnimator(Base, table=True):
    """A person runs a community."""

    __tablename__ = "community_animator"

    community_id: UUID = Field(
        primary_key=True,
        foreign_key="community.id",
        sa_column_kwargs=personal(Category.PROFESSIONAL, "Communauté animée"),
    )
    person_id: UUID = Field(
        primary_key=True,
        foreign_key="data_subject.live_id",
        index=True,
        sa_column_kwargs=subject(
            Fate.DELETE,
            "Animer une communauté",
            basis=Basis.CONTRACT,
            recipients=(Recipient.PLATFORM, Recipient.CCI),
        ),
    )


class CciAgent(Base, table=True):
    """A person works for a chamber and helps the communities attached to it."""

    __tablename__ = "cci_agent"

    person_id: UUID = Field(
        primary_key=True,
        foreign_key="data_subject.live_id",
        sa_column_kwargs=subject(
            Fate.DELETE,
            "Accompagner les entreprises d'une CCI",
            basis=Basis.CONTRACT,
            recipients=(Recipient.PLATFORM, Recipient.CCI),
        ),
    )
    cci: str = Field(
        primary_key=True,
        max_length=80,
        index=True,
        sa_column_kwargs=personal(Category.PROFESSIONAL, "CCI de rattachement"),
    )


class MembershipState(StrEnum):
    """Where a membership stands."""

    PENDING = "pending"
    ACTIVE = "active"
    REFUSED = "refused"
    ENDED = "ended"


class DecisionRole(StrEnum):
    """As what somebody answered a request to join."""

    ANIMATOR = "animator"
    AGENT = "agent"


LIVE = (MembershipState.PENDING, MembershipState.ACTIVE)
"""Memberships that the people who run the community work with."""


class Membership(Base, table=True):
    """A person belongs to a community for a company, or asks to."""

    __table_args__ = (
        CheckConstraint(one_of("state", MembershipState), name="state"),
        CheckConstraint(one_of("decided_as", DecisionRole), name="decided_as"),
        CheckConstraint("state <> 'refused' OR reason IS NOT NULL", name="refusal_has_a_reason"),
        Index(
            "uq_membership_live",
            "person_id",
            "company_id",
            "community_id",
            unique=True,
            postgresql_where=text("state IN ('pending', 'active')"),
        ),
        Index("ix_membership_queue", "community_id", "state", "requested_at", "id"),
        Index("ix_membership_company", "company_id", "state"),
    )

    id: UUID = Field(
        default_factory=new_id, primary_key=True, sa_column_kwargs=not_personal("opaque id")
    )
    person_id: UUID = Field(
        foreign_key="data_subject.live_id",
        index=True,
        sa_column_kwargs=subject(
            Fate.DELETE,
            "Participer à une communauté",
            recipients=(Recipient.PLATFORM, Recipient.ANIMATOR, Recipient.CCI),
        ),
    )
    company_id: UUID = Field(
        foreign_key="company.id",
        sa_column_kwargs=personal(Category.PROFESSIONAL, "Entreprise membre", of="person_id"),
    )
    community_id: UUID = Field(
        foreign_key="community.id",
        sa_column_kwargs=personal(Category.PROFESSIONAL, "Communauté", of="person_id"),
    )
    state: str = Field(
        default=MembershipState.PENDING,
        sa_column_kwargs=personal(Category.TECHNICAL, "État de l'adhésion", of="person_id"),
    )
    answers: dict[str, Any] | None = Field(
        default=None,
        sa_type=JSONB(none_as_null=True),
        sa_column_kwargs=personal(
            Category.CONTENT, "Réponses à la fiche signalétique", of="person_id"
        ),
    )
    reason: str | None = Field(
        default=None,
        sa_type=Text,
        sa_column_kwargs=personal(Category.CONTENT, "Motif du refus", of="person_id"),
    )
    requested_at: datetime = Field(
        sa_type=Instant,
        sa_column_kwargs=personal(Category.TECHNICAL, "Date de la demande", of="person_id"),
    )
    decided_at: datetime | None = Field(
        default=None,
        sa_type=Instant,
        sa_column_kwargs=personal(Category.TECHNICAL, "Date de la réponse", of="person_id"),
    )
    decided_as: str | None = Field(
        default=None,
        sa_column_kwargs=personal(
            Category.TECHNICAL, "Rôle de la personne qui a répondu", of="person_id"
        ),
    )
    decided_by: UUID | None = Field(
        default=None,
        foreign_key="data_subject.live_id",
        index=True,
        sa_column_kwargs=subject(
            Fate.DETACH,
            "Savoir qui a répondu à une demande d'adhésion",
            basis=Basis.CONTRACT,
            recipients=(Recipient.PLATFORM, Recipient.ANIMATOR, Recipient.CCI),
        ),
    )

    def decide(
        self, *, grant: bool, reason: str | None, by: UUID, role: DecisionRole, now: datetime
    ) -> None:
        """Answer a waiting request. The person learns the role of who answered, not the name. Raises `AlreadyDecidedError`, `ReasonNeededError`."""
        if self.state != MembershipState.PENDING:
            raise AlreadyDecidedError("Rechargez la file des demandes.")
        if not grant and not reason:
            raise ReasonNeededError("Dites à la personne pourquoi sa demande est refusée.")
        self.state = MembershipState.ACTIVE if grant else MembershipState.REFUSED
        self.reason = None if grant else reason
        self.decided_by = by
        self.decided_as = role
        self.decided_at = now
