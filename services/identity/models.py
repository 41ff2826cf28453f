"""The nouns of identity: accounts, their sessions, the links that mails carry."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from sqlalchemy import MetaData
from sqlmodel import Field, SQLModel

from chassis.catalogue import Basis, Category, Fate, not_personal, personal, seal, subject
from chassis.ids import new_id
from chassis.tables import Instant, service_metadata
from services.identity.errors import AccountLockedError, LinkExpiredError

METADATA = service_metadata()

MAX_FAILURES = 10
FAILURES_FORGOTTEN_AFTER = timedelta(minutes=15)
REFRESH_LIFETIME = timedelta(days=30)
VERIFY_LIFETIME = timedelta(hours=48)
RESET_LIFETIME = timedelta(hours=1)
BROWSER_LIFETIME = timedelta(days=30)
"""A browser's secret is not replaced while it is used: it ends that long after the sign-in."""
USE_NOTED_EVERY = timedelta(minutes=5)


class Base(SQLModel):
    """Base of identity's tables."""

    metadata: ClassVar[MetaData] = METADATA


class AccountState(StrEnum):
    """Where an account stands."""

    UNVERIFIED = "unverified"
    ACTIVE = "active"
    LOCKED = "locked"
    """Waits for its erasure; nobody can use it."""


class Account(Base, table=True):
    """A person's way in. Its id is the person's id in every service."""

    id: UUID = Field(
        default_factory=new_id,
        primary_key=True,
        foreign_key="data_subject.live_id",
        sa_column_kwargs=subject(Fate.DELETE, "Se connecter à la plateforme"),
    )
    email: str = Field(
        max_length=254,
        unique=True,
        sa_column_kwargs=personal(Category.CONTACT, "Adresse e-mail de contact", mandatory=True),
    )
    password_hash: str | None = Field(
        default=None,
        sa_column_kwargs=personal(
            Category.CONNECTION, "Mot de passe (empreinte)", mandatory=True, secret=True
        ),
    )
    state: str = Field(
        default=AccountState.UNVERIFIED,
        sa_column_kwargs=personal(Category.TECHNICAL, "État du compte"),
    )
    notice_version: str = Field(
        max_length=80,
        sa_column_kwargs=personal(Category.PREFERENCE, "Version de la notice acceptée"),
    )
    opened_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=personal(Category.CONNECTION, "Date d'inscription")
    )
    verified_at: datetime | None = Field(
        default=None,
        sa_type=Instant,
        sa_column_kwargs=personal(Category.CONNECTION, "Date de confirmation"),
    )

    @property
    def may_sign_in(self) -> bool:
        """Only a confirmed account that is not locked can be used."""
        return self.state == AccountState.ACTIVE

    def verify(self, *, password_hash: str, now: datetime) -> None:
        """The address is confirmed, with the password chosen in the sign-up that was confirmed."""
        if self.state == AccountState.LOCKED:
            raise AccountLockedError
        self.state = AccountState.ACTIVE
        self.password_hash = password_hash
        self.verified_at = self.verified_at or now

    def lock(self) -> None:
        """From here on the account only waits for its erasure; raises when it does already."""
        if self.state == AccountState.LOCKED:
            raise AccountLockedError
        self.state = AccountState.LOCKED


class RoleGrant(Base, table=True):
    """A platform role of a person."""

    __tablename__ = "role_grant"

    account_id: UUID = Field(
        primary_key=True,
        foreign_key="data_subject.live_id",
        sa_column_kwargs=subject(Fate.DELETE, "Attribuer les droits d'accès"),
    )
    role: str = Field(primary_key=True, sa_column_kwargs=personal(Category.TECHNICAL, "Rôle"))


class Session(Base, table=True):
    """A signed-in device. Ending it makes its refresh tokens, or its browser's secret, worthless."""

    id: UUID = Field(
        default_factory=new_id,
        primary_key=True,
        sa_column_kwargs=not_personal("opaque id of the session"),
    )
    account_id: UUID = Field(
        foreign_key="data_subject.live_id",
        index=True,
        sa_column_kwargs=subject(Fate.DELETE, "Garder la session ouverte", basis=Basis.CONTRACT),
    )
    opened_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=personal(Category.CONNECTION, "Ouverture de session")
    )
    last_used_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=personal(Category.CONNECTION, "Dernière utilisation")
    )
    browser_hash: str | None = Field(
        default=None,
        unique=True,
        sa_column_kwargs=not_personal("SHA-256 of a random secret, for a browser's session"),
    )

    def is_over(self, now: datetime) -> bool:
        """Whether a browser has to sign in again."""
        return now >= self.opened_at + BROWSER_LIFETIME

    def use(self, now: datetime) -> None:
        """Note the use, and not at each page."""
        if now >= self.last_used_at + USE_NOTED_EVERY:
            self.last_used_at = now


class RefreshToken(Base, table=True):
    """One link of a session's chain; used twice, it ends the session."""

    __tablename__ = "refresh_token"

    token_hash: str = Field(
        primary_key=True, sa_column_kwargs=not_personal("SHA-256 of a random secret")
    )
    account_id: UUID = Field(
        foreign_key="data_subject.live_id",
        index=True,
        sa_column_kwargs=subject(Fate.DELETE, "Garder la session ouverte", basis=Basis.CONTRACT),
    )
    session_id: UUID = Field(
        foreign_key="session.id",
        ondelete="CASCADE",
        index=True,
        sa_column_kwargs=not_personal("opaque id of the session"),
    )
    expires_at: datetime = Field(sa_type=Instant, sa_column_kwargs=not_personal("end of validity"))
    used_at: datetime | None = Field(
        default=None,
        sa_type=Instant,
        sa_column_kwargs=personal(Category.CONNECTION, "Dernière utilisation"),
    )


class LinkPurpose(StrEnum):
    """Why a mail is sent."""

    VERIFY = "verify"
    RESET = "reset"
    ALREADY_KNOWN = "already_known"
    """Somebody signed up with an address that has an account: its owner is told, nobody else."""


class MailedLink(Base, table=True):
    """A mail that waits to be sent, then the link in it, known by its hash only."""

    __tablename__ = "mailed_link"

    id: UUID = Field(
        default_factory=new_id, primary_key=True, sa_column_kwargs=not_personal("opaque id")
    )
    account_id: UUID = Field(
        foreign_key="data_subject.live_id",
        index=True,
        sa_column_kwargs=subject(
            Fate.DELETE, "Confirmer l'adresse, changer de mot de passe", basis=Basis.CONTRACT
        ),
    )
    purpose: str = Field(sa_column_kwargs=not_personal("kind of mail"))
    password_hash: str | None = Field(
        default=None,
        sa_column_kwargs=personal(
            Category.CONNECTION, "Mot de passe choisi (empreinte)", secret=True
        ),
    )
    token_hash: str | None = Field(
        default=None,
        unique=True,
        sa_column_kwargs=not_personal("SHA-256 of a random secret, once it is sent"),
    )
    asked_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=personal(Category.CONNECTION, "Date de la demande")
    )
    expires_at: datetime = Field(sa_type=Instant, sa_column_kwargs=not_personal("end of validity"))
    attempts: int = Field(default=0, sa_column_kwargs=not_personal("tries to send it"))
    due_at: datetime | None = Field(
        default=None,
        sa_type=Instant,
        index=True,
        sa_column_kwargs=not_personal("next try to send it; null when sent"),
    )

    def check(self, now: datetime) -> None:
        """Raise `LinkExpiredError` when its time is over."""
        if now >= self.expires_at:
            raise LinkExpiredError("Demandez un nouveau lien.")


class LoginFailure(Base, table=True):
    """Failures in a row for one address, counted without the address; forgotten in an hour."""

    __tablename__ = "login_failure"

    address_hmac: str = Field(
        primary_key=True,
        sa_column_kwargs=not_personal("keyed pseudonym, kept at most an hour"),
    )
    account_id: UUID | None = Field(
        default=None,
        foreign_key="data_subject.live_id",
        index=True,
        sa_column_kwargs=subject(
            Fate.DELETE, "Freiner les essais de mots de passe", basis=Basis.LEGITIMATE_INTEREST
        ),
    )
    failures: int = Field(default=0, sa_column_kwargs=personal(Category.CONNECTION, "Échecs"))
    last_at: datetime = Field(
        sa_type=Instant,
        index=True,
        sa_column_kwargs=personal(Category.CONNECTION, "Dernier échec"),
    )


class ErasureRequest(Base, table=True):
    """The owner's wish to be deleted, told again and again until the erasure arrives (N3.2)."""

    __tablename__ = "erasure_request"

    erasure_id: UUID = Field(
        primary_key=True, sa_column_kwargs=not_personal("opaque id of the erasure")
    )
    account_id: UUID = Field(
        foreign_key="data_subject.live_id",
        unique=True,
        sa_column_kwargs=subject(
            Fate.DELETE, "Supprimer le compte à la demande", basis=Basis.LEGAL_OBLIGATION
        ),
    )
    requested_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=personal(Category.CONNECTION, "Demande de suppression")
    )
    repeats: int = Field(default=0, sa_column_kwargs=not_personal("times it was told again"))
    repeat_at: datetime = Field(
        sa_type=Instant, index=True, sa_column_kwargs=not_personal("when to tell it again")
    )


catalogue = seal(service="identity", metadata=METADATA)
