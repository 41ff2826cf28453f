"""What visitors chose about audience measurement, provable without knowing who they are (N5.1)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint
from sqlmodel import Field

from chassis.catalogue import Basis, Category, Fate, personal, subject
from chassis.tables import Instant
from services.privacy.models.base import Base
from services.privacy.models.deadlines import months_after

ACCEPTED_FOR_MONTHS = 12
"""As promised (N5.1); the law allows 13."""
ASKED_AGAIN_AFTER_MONTHS = 6
"""Refusals included (CNIL, guidelines on cookies)."""


class CookieChoice(Base, table=True):
    """One choice. Its id is random, linked to no account, and its own data subject: a pseudonym."""

    __tablename__ = "cookie_choice"
    __table_args__ = (
        CheckConstraint("ask_again_at <= expires_at", name="asked_before_it_ends"),
        CheckConstraint("withdrawn_at IS NULL OR audience", name="only_agreement_is_withdrawn"),
    )

    choice_id: UUID = Field(
        primary_key=True,
        foreign_key="data_subject.live_id",
        sa_column_kwargs=subject(
            Fate.DELETE,
            "Prouver votre choix sur la mesure d'audience",
            basis=Basis.LEGAL_OBLIGATION,
            retention="12 mois pour un accord, 6 mois pour un refus",
        ),
    )
    audience: bool = Field(
        sa_column_kwargs=personal(Category.PREFERENCE, "Accord pour la mesure d'audience")
    )
    notice_version: str = Field(
        sa_column_kwargs=personal(Category.PREFERENCE, "Version de la notice affichée")
    )
    chosen_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=personal(Category.PREFERENCE, "Date du choix")
    )
    ask_again_at: datetime = Field(
        sa_type=Instant,
        sa_column_kwargs=personal(Category.PREFERENCE, "Date de la question suivante"),
    )
    expires_at: datetime = Field(
        sa_type=Instant,
        index=True,
        sa_column_kwargs=personal(Category.PREFERENCE, "Fin de validité du choix"),
    )
    withdrawn_at: datetime | None = Field(
        default=None,
        sa_type=Instant,
        sa_column_kwargs=personal(Category.PREFERENCE, "Date du retrait"),
    )

    @classmethod
    def made(
        cls, *, choice_id: UUID, audience: bool, notice_version: str, now: datetime
    ) -> "CookieChoice":
        """A choice of this instant; visits do not prolong it."""
        return cls(
            choice_id=choice_id,
            audience=audience,
            notice_version=notice_version,
            chosen_at=now,
            ask_again_at=months_after(now, ASKED_AGAIN_AFTER_MONTHS),
            expires_at=months_after(
                now, ACCEPTED_FOR_MONTHS if audience else ASKED_AGAIN_AFTER_MONTHS
            ),
        )

    @property
    def measured(self) -> bool:
        """Whether visits may be measured under this choice."""
        return self.audience and self.withdrawn_at is None

    def withdraw(self, *, now: datetime) -> None:
        """Agreement ends here; withdrawing twice, or withdrawing a refusal, changes nothing."""
        if self.measured:
            self.withdrawn_at = now
            self.ask_again_at = min(months_after(now, ASKED_AGAIN_AFTER_MONTHS), self.expires_at)
