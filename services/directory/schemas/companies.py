"""Company sheets, attachments and the search, as they come in and go out."""

from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, StrictBool, StringConstraints, model_validator

from chassis.http import Input, Output
from chassis.pagination import DEFAULT_LIMIT, MAX_LIMIT
from contracts.base import Slug
from contracts.directory import AttachmentRole
from services.directory import reference
from services.directory.schemas.fields import (
    CommuneCode,
    Email,
    Link,
    Links,
    Naf,
    Optional,
    Phone,
    Siret,
    line,
    prose,
)
from services.directory.schemas.people import PersonName


class AddressForm(Input):
    """A postal address. A postcode may be a CEDEX: only its department is compared."""

    street: Annotated[str, line(200)]
    postcode: Annotated[str, StringConstraints(pattern=r"^[0-9]{5}$")]
    commune_code: CommuneCode

    @model_validator(mode="after")
    def _same_department(self) -> Self:
        commune = reference.find_commune(self.commune_code)
        near = {code[:2] for code in commune.postcodes} if commune else set()
        if near and self.postcode[:2] not in near:
            raise ValueError("Ce code postal n'est pas celui de la commune.")
        return self


class CompanyForm(Input):
    """A company sheet (N2.2): address and phone are mandatory, the rest is free."""

    siret: Siret
    name: Annotated[str, line(200)]
    sole_trader: StrictBool = False
    address: AddressForm
    phone: Phone
    email: Annotated[Email | None, Optional] = None
    website: Annotated[Link | None, Optional] = None
    social: Annotated[Links, Field(default_factory=list)]
    activity: Annotated[Annotated[str, prose(2000)] | None, Optional] = None
    naf: Annotated[Naf | None, Optional] = None


_MANDATORY = ("name", "sole_trader", "address", "phone", "social")


class CompanyChange(Input):
    """The fields of a sheet that change; null clears one that is free."""

    name: Annotated[str, line(200)] | None = None
    sole_trader: StrictBool | None = None
    address: AddressForm | None = None
    phone: Phone | None = None
    email: Annotated[Email | None, Optional] = None
    website: Annotated[Link | None, Optional] = None
    social: Links | None = None
    activity: Annotated[Annotated[str, prose(2000)] | None, Optional] = None
    naf: Annotated[Naf | None, Optional] = None

    @model_validator(mode="after")
    def _mandatory_stay(self) -> Self:
        if any(getattr(self, name) is None for name in self.model_fields_set & set(_MANDATORY)):
            raise ValueError("Un champ obligatoire ne peut pas être vidé.")
        return self


class AttachmentView(Output):
    """What the caller may do for a company."""

    role: AttachmentRole
    state: str


class ListedCompany(Output):
    """What whoever knows a SIRET learns of the company that bears it: enough to recognise it.

    A sole trader's name and address are null. Address and activity code are for who may claim an
    imported sheet; nobody answers for it yet, so that they are of a public register.
    """

    siret: str
    name: str | None
    town: str | None
    claimed: bool
    """Somebody answers for the sheet: others ask to be attached."""
    generated: bool
    street: str | None
    postcode: str | None
    commune_code: str | None
    naf: str | None
    attachment: AttachmentView | None
    """The caller's own."""


class Registration(Output):
    """A company that is listed from now on, or was already: then the caller waits for a yes."""

    id: UUID
    siret: str
    attachment: AttachmentView


class OwnCompany(Output):
    """A company that the caller acts for or asked to be attached to."""

    id: UUID
    siret: str
    name: str
    role: AttachmentRole
    state: str
    since: AwareDatetime


class Colleague(Output):
    """Somebody who acts for a company or asks to, for its administrators."""

    person: PersonName
    role: AttachmentRole
    state: str
    since: AwareDatetime
    owner: bool


class AttachmentAcceptance(Input):
    """The role that an accepted person gets."""

    role: AttachmentRole = AttachmentRole.COLLEAGUE


class CompanyName(Output):
    """What a company is called."""

    id: UUID
    name: str


class CommunityRef(Output):
    """A community, named."""

    id: UUID
    slug: Slug
    name: str


class Address(Output):
    """Where a company is; the commune code is that of the year `commune_vintage`."""

    street: str
    postcode: str
    commune_code: str
    commune_vintage: int
    town: str
    department: str


class CompanySheet(Output):
    """A company sheet. A sole trader's contact data are null for who shares no community life."""

    id: UUID
    siret: str
    siren: str
    name: str
    sole_trader: bool
    address: Address
    phone: str | None
    email: str | None
    website: str | None
    social: list[str]
    activity: str | None
    naf: str | None
    naf_version: str | None
    trade: str | None
    """What the activity code means, in French."""
    generated: bool
    """A demo company, which does not exist."""
    version: int
    communities: list[CommunityRef]
    people: list[PersonName]
    """Those of its people whom the caller may see."""
    attachment: AttachmentView | None
    """The caller's own."""


class CompanySearch(Input):
    """Criteria of the search; several values of one facet widen it, several facets narrow it."""

    q: Annotated[str, StringConstraints(max_length=200)] | None = None
    community: Annotated[list[Annotated[str, line(80)]], Field(max_length=20, default_factory=list)]
    """Ids or slugs."""
    naf: Annotated[
        list[Annotated[str, StringConstraints(pattern=r"^[0-9]{2}(\.[0-9]{0,2}[A-Z]?)?$")]],
        Field(max_length=20, default_factory=list),
    ]
    """Beginnings of activity codes: a division, a group, a class."""
    department: Annotated[
        list[Annotated[str, StringConstraints(pattern=r"^[0-9AB]{2,3}$")]],
        Field(max_length=20, default_factory=list),
    ]
    commune: CommuneCode | None = None
    near: CommuneCode | None = None
    radius_km: Annotated[int, Field(ge=1, le=300)] = 30
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    after: Annotated[str, StringConstraints(max_length=500)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, values: Any) -> Any:
        """A form sends every field, the empty ones too."""
        if not isinstance(values, dict):
            return values
        kept = {
            name: [one for one in value if one != ""] if isinstance(value, list) else value
            for name, value in values.items()
        }
        return {name: value for name, value in kept.items() if value not in ("", [])}


class FoundCompany(Output):
    """A company in a list."""

    id: UUID
    siret: str
    name: str
    activity: str | None
    naf: str | None
    trade: str | None
    postcode: str
    commune_code: str
    town: str
    department: str
    website: str | None
    sole_trader: bool
    generated: bool
    communities: list[CommunityRef]
    distance_km: float | None
    """From the middle of `near`, commune to commune; only when `near` was given."""


class FacetValue(Output):
    """One value of a facet and how many companies it would show."""

    value: str
    label: str
    count: int


class Facets(Output):
    """Counts under all other criteria, so that a second value of the same facet can be added."""

    department: list[FacetValue]
    naf: list[FacetValue]
    community: list[FacetValue]


class CompanyPage(Output):
    """One page of a search. `next` is the cursor for `after`."""

    items: list[FoundCompany]
    total: int
    facets: Facets
    next: str | None
