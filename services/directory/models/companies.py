"""Companies and the people who act for them."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Computed, Index, Text
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR
from sqlmodel import Field

from chassis.catalogue import Basis, Category, Fate, not_personal, personal, subject
from chassis.ids import new_id
from chassis.tables import Instant
from contracts.directory import AttachmentRole
from services.directory import reference
from services.directory.errors import VersionConflictError
from services.directory.models.base import READERS, Base, one_of

_SHEET = "owner_id"

# The functions of these expressions, `ccib_fold` and `ccib_french`, are made by the first migration.
FOLDED = (
    "ccib_fold(name || ' ' || coalesce(trade, '') || ' ' || coalesce(activity, '') || ' ' || town)"
)
SEARCH = (
    "setweight(to_tsvector('ccib_french'::regconfig, name), 'A')"
    " || setweight(to_tsvector('ccib_french'::regconfig, coalesce(activity, '')), 'B')"
    " || setweight(to_tsvector('ccib_french'::regconfig, coalesce(trade, '') || ' ' || town), 'C')"
)


class Company(Base, table=True):
    """The sheet of an establishment. A sole trader's is personal data; any other is treated alike."""

    __table_args__ = (
        CheckConstraint("siret ~ '^[0-9]{14}$'", name="siret"),
        CheckConstraint("(naf IS NULL) = (naf_version IS NULL)", name="naf_has_a_version"),
        CheckConstraint("(latitude IS NULL) = (longitude IS NULL)", name="position"),
        Index("ix_company_search", "search", postgresql_using="gin"),
        Index(
            "ix_company_folded",
            "folded",
            postgresql_using="gin",
            postgresql_ops={"folded": "gin_trgm_ops"},
        ),
        Index(
            "ix_company_folded_name",
            "folded_name",
            postgresql_using="gin",
            postgresql_ops={"folded_name": "gin_trgm_ops"},
        ),
        Index("ix_company_naf", "naf", postgresql_ops={"naf": "varchar_pattern_ops"}),
        Index("ix_company_order", "folded_name", "id"),
        Index("ix_company_position", "latitude", "longitude"),
    )

    id: UUID = Field(
        default_factory=new_id, primary_key=True, sa_column_kwargs=not_personal("opaque id")
    )
    owner_id: UUID | None = Field(
        default=None,
        foreign_key="data_subject.live_id",
        index=True,
        sa_column_kwargs=subject(
            Fate.SHARED,
            "Présenter l'entreprise dans l'annuaire",
            recipients=READERS,
            rule="last_owner",
        ),
    )
    siret: str = Field(
        max_length=14,
        unique=True,
        sa_column_kwargs=personal(Category.PROFESSIONAL, "SIRET", mandatory=True, of=_SHEET),
    )
    siren: str | None = Field(
        default=None,
        max_length=9,
        index=True,
        sa_column_args=[Computed("left(siret, 9)", persisted=True)],
        sa_column_kwargs=personal(Category.PROFESSIONAL, "SIREN", of=_SHEET),
    )
    name: str = Field(
        max_length=200,
        sa_column_kwargs=personal(
            Category.PROFESSIONAL, "Nom de l'entreprise", mandatory=True, of=_SHEET
        ),
    )
    sole_trader: bool = Field(
        default=False,
        sa_column_kwargs=personal(Category.PROFESSIONAL, "Entreprise individuelle", of=_SHEET),
    )
    street: str = Field(
        max_length=200,
        sa_column_kwargs=personal(
            Category.CONTACT, "Adresse de l'entreprise", mandatory=True, of=_SHEET
        ),
    )
    postcode: str = Field(
        max_length=5,
        sa_column_kwargs=personal(Category.CONTACT, "Code postal", mandatory=True, of=_SHEET),
    )
    commune_code: str = Field(
        max_length=5,
        index=True,
        sa_column_kwargs=personal(Category.CONTACT, "Commune", mandatory=True, of=_SHEET),
    )
    commune_vintage: int = Field(
        sa_column_kwargs=not_personal("year of the official code in commune_code")
    )
    town: str = Field(
        max_length=100,
        sa_column_kwargs=personal(Category.CONTACT, "Ville", mandatory=True, of=_SHEET),
    )
    department: str = Field(
        max_length=3,
        index=True,
        sa_column_kwargs=personal(Category.CONTACT, "Département", mandatory=True, of=_SHEET),
    )
    latitude: float | None = Field(
        default=None,
        sa_column_kwargs=personal(Category.CONTACT, "Position de la commune", of=_SHEET),
    )
    longitude: float | None = Field(
        default=None,
        sa_column_kwargs=personal(Category.CONTACT, "Position de la commune", of=_SHEET),
    )
    phone: str | None = Field(
        default=None,
        max_length=20,
        sa_column_kwargs=personal(
            Category.CONTACT, "Téléphone de l'entreprise", mandatory=True, of=_SHEET
        ),
    )
    email: str | None = Field(
        default=None,
        max_length=254,
        sa_column_kwargs=personal(Category.CONTACT, "E-mail de l'entreprise", of=_SHEET),
    )
    website: str | None = Field(
        default=None,
        max_length=300,
        sa_column_kwargs=personal(Category.CONTACT, "Site internet", of=_SHEET),
    )
    social: list[str] = Field(
        default_factory=list,
        sa_type=ARRAY(Text),
        sa_column_kwargs=personal(Category.CONTACT, "Réseaux sociaux", of=_SHEET),
    )
    activity: str | None = Field(
        default=None,
        sa_type=Text,
        sa_column_kwargs=personal(Category.PROFESSIONAL, "Activité", of=_SHEET),
    )
    naf: str | None = Field(
        default=None,
        max_length=6,
        sa_column_kwargs=personal(Category.PROFESSIONAL, "Code NAF", of=_SHEET),
    )
    naf_version: str | None = Field(
        default=None,
        max_length=20,
        sa_column_kwargs=not_personal("nomenclature of the code in naf"),
    )
    trade: str | None = Field(
        default=None,
        max_length=300,
        sa_column_kwargs=personal(Category.PROFESSIONAL, "Libellé du code NAF", of=_SHEET),
    )
    generated: bool = Field(
        default=False, sa_column_kwargs=not_personal("a demo company, which does not exist")
    )
    version: int = Field(default=1, sa_column_kwargs=not_personal("counts the edits, for ETag"))
    listed_at: datetime = Field(
        sa_type=Instant,
        sa_column_kwargs=personal(Category.TECHNICAL, "Date d'inscription", of=_SHEET),
    )
    folded_name: str | None = Field(
        default=None,
        sa_type=Text(collation="C"),
        sa_column_args=[Computed("ccib_fold(name)", persisted=True)],
        sa_column_kwargs=personal(Category.PROFESSIONAL, "Nom, pour le tri", of=_SHEET),
    )
    folded: str | None = Field(
        default=None,
        sa_type=Text,
        sa_column_args=[Computed(FOLDED, persisted=True)],
        sa_column_kwargs=personal(Category.PROFESSIONAL, "Texte de recherche", of=_SHEET),
    )
    search: str | None = Field(
        default=None,
        sa_type=TSVECTOR,
        sa_column_args=[Computed(SEARCH, persisted=True)],
        sa_column_kwargs=personal(Category.PROFESSIONAL, "Index de recherche", of=_SHEET),
    )

    def edit(self, *, expected: int, **changes: Any) -> None:
        """Change columns; raises `VersionConflictError` unless `expected` is the present version."""
        if expected != self.version:
            raise VersionConflictError("Relisez la fiche, puis refaites votre modification.")
        for name, value in changes.items():
            setattr(self, name, value)
        self.version += 1


def located(commune_code: str) -> dict[str, Any]:
    """The columns that follow from a commune code, old or present; raises `KeyError` if unknown."""
    commune = reference.find_commune(commune_code)
    if commune is None:
        raise KeyError(commune_code)
    return {
        "commune_code": commune.code,
        "commune_vintage": reference.COMMUNES_VINTAGE,
        "town": commune.name,
        "department": commune.department,
        "latitude": commune.position.latitude if commune.position else None,
        "longitude": commune.position.longitude if commune.position else None,
    }


def classified(naf: str | None) -> dict[str, str | None]:
    """The columns that follow from an activity code; raises `KeyError` if unknown."""
    if naf is None:
        return {"naf": None, "naf_version": None, "trade": None}
    return {
        "naf": naf,
        "naf_version": reference.NAF_NOMENCLATURE,
        "trade": reference.activities()[naf].label,
    }


class AttachmentState(StrEnum):
    """Whether a person may act for a company yet."""

    ACTIVE = "active"
    PENDING = "pending"


class Attachment(Base, table=True):
    """A person acts for a company, or asks to (N2.2)."""

    __table_args__ = (
        CheckConstraint(one_of("role", AttachmentRole), name="role"),
        CheckConstraint(one_of("state", AttachmentState), name="state"),
    )

    company_id: UUID = Field(
        primary_key=True,
        foreign_key="company.id",
        sa_column_kwargs=personal(
            Category.PROFESSIONAL, "Entreprise de rattachement", mandatory=True
        ),
    )
    person_id: UUID = Field(
        primary_key=True,
        foreign_key="data_subject.live_id",
        index=True,
        sa_column_kwargs=subject(
            Fate.DELETE, "Agir pour son entreprise", basis=Basis.CONSENT, recipients=READERS
        ),
    )
    role: str = Field(
        default=AttachmentRole.COLLEAGUE,
        sa_column_kwargs=personal(Category.PROFESSIONAL, "Rôle dans l'entreprise"),
    )
    state: str = Field(
        default=AttachmentState.PENDING,
        sa_column_kwargs=personal(Category.TECHNICAL, "État du rattachement"),
    )
    since: datetime = Field(
        sa_type=Instant,
        sa_column_kwargs=personal(Category.TECHNICAL, "Date de la demande de rattachement"),
    )

    @property
    def active(self) -> bool:
        """Whether the person may act for the company."""
        return self.state == AttachmentState.ACTIVE

    @property
    def administers(self) -> bool:
        """Whether the person may edit the sheet and accept colleagues."""
        return self.active and self.role == AttachmentRole.ADMINISTRATOR

    def accept(self, role: AttachmentRole) -> None:
        """From now on the person acts for the company, in that role."""
        self.state = AttachmentState.ACTIVE
        self.role = role
