"""The search of companies: French words, typing errors, places, facets."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Numeric,
    Select,
    Text,
    and_,
    cast,
    exists,
    false,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped
from sqlmodel import col

from chassis.pagination import cut, decode, encode
from services.directory import reference
from services.directory.errors import UnknownPlaceError
from services.directory.models import Community, Company, Membership, MembershipState
from services.directory.queries.codes import with_districts
from services.directory.queries.companies import communities_of
from services.directory.queries.viewers import Viewer, can_see_company, can_see_company_in
from services.directory.schemas.companies import (
    CompanyPage,
    CompanySearch,
    Facets,
    FacetValue,
    FoundCompany,
)

_MOST_WORDS = 8
_FUZZY_FROM = 4
"""Shorter words have too few trigrams to be recognised when misspelt."""
_EARTH_RADIUS_KM = 6371.0
_KM_PER_DEGREE = 111.2
_FACETS = ("department", "naf", "community")

_CONFIGURATION: ColumnElement[Any] = literal_column("'ccib_french'::regconfig")


@dataclass(frozen=True, kw_only=True)
class _Order:
    """What the page is sorted by, rising; the cursor carries its value and the id."""

    key: ColumnElement[Any] | Mapped[Any]
    kind: Callable[[Any], Any]


async def search(session: AsyncSession, *, wanted: CompanySearch, viewer: Viewer) -> CompanyPage:
    """One page of the companies that the viewer may see, with facets.

    Two statements; three when nothing is found and typing errors are forgiven.
    """
    distance = _distance(wanted)
    facets = {name: _facet(name, wanted, viewer) for name in _FACETS}
    somewhere = [can_see_company(viewer), *_places(wanted, distance)]
    strict, *forgiving = _readings(wanted.q)
    base = [*somewhere, strict]
    matched, total, counted = await _count(session, base=base, facets=facets, viewer=viewer)
    if forgiving and not matched:
        base = [*somewhere, *forgiving]
        _, total, counted = await _count(session, base=base, facets=facets, viewer=viewer)
    order = _order(wanted, distance)
    page = (
        select(
            *(
                getattr(Company, name)
                for name in FoundCompany.model_fields
                if hasattr(Company, name)
            ),
            communities_of(viewer).label("communities"),
            (null() if distance is None else distance).label("distance_km"),
            order.key.label("key"),
        )
        .where(*base, *facets.values())
        .order_by(order.key, col(Company.id))
        .limit(wanted.limit + 1)
    )
    last = decode(wanted.after, order.kind, UUID)
    if last is not None:
        page = page.where(tuple_(order.key, col(Company.id)) > tuple_(*map(literal, last)))
    rows, following = cut(
        (await session.execute(page)).all(), wanted.limit, lambda row: encode(row.key, row.id)
    )
    return CompanyPage(
        items=[FoundCompany.model_validate(row) for row in rows],
        total=total,
        facets=counted,
        next=following,
    )


def _words(q: str | None) -> list[str]:
    return re.findall(r"[^\W_]+", q or "")[:_MOST_WORDS]


def _readings(q: str | None) -> list[ColumnElement[bool]]:
    """What was typed, a SIRET, a SIREN or words, as a condition; a second one when it finds nobody.

    Every word counts, by its French stem and as a beginning. Only when nobody there has them all,
    typing errors are forgiven, in a statement of its own: the planner cannot know that the costly
    half of an "or" will not be needed.
    """
    digits = re.sub(r"[\s.]", "", q or "")
    if re.fullmatch(r"[0-9]{9}|[0-9]{14}", digits):
        return [(col(Company.siret) if len(digits) == 14 else col(Company.siren)) == digits]
    words = _words(q)
    if not words:
        return [true()]
    return [col(Company.search).op("@@", is_comparison=True)(_query(words)), _about(words)]


def _about(words: Sequence[str]) -> ColumnElement[bool]:
    """Every word that is long enough, about so written; a word alone may also be about the name."""
    long = [word for word in words if len(word) >= _FUZZY_FROM]
    if not long:
        return false()
    within = and_(
        *(func.ccib_fold(word).op("<%", is_comparison=True)(col(Company.folded)) for word in long)
    )
    if len(words) > 1:
        return within
    name = func.ccib_fold(words[0]).op("%", is_comparison=True)(col(Company.folded_name))
    return or_(within, name)


def _query(words: Sequence[str]) -> ColumnElement[Any]:
    beginnings = (f"{word}:*" if len(word) > 2 else word for word in words)
    return func.to_tsquery(_CONFIGURATION, " & ".join(beginnings))


def _distance(wanted: CompanySearch) -> ColumnElement[Any] | None:
    """Kilometres from the commune `near` to the company's, by the haversine formula."""
    if wanted.near is None:
        return None
    here = _position(wanted.near)
    half_latitude = func.radians(col(Company.latitude) - here.latitude) / 2
    half_longitude = func.radians(col(Company.longitude) - here.longitude) / 2
    chord = func.power(func.sin(half_latitude), 2) + func.cos(
        func.radians(here.latitude)
    ) * func.cos(func.radians(col(Company.latitude))) * func.power(func.sin(half_longitude), 2)
    kilometres = 2 * _EARTH_RADIUS_KM * func.asin(func.sqrt(func.least(1.0, chord)))
    return func.round(cast(kilometres, Numeric), 1)


def _position(code: str) -> reference.Position:
    commune = reference.find_commune(code)
    if commune is None or commune.position is None:
        raise UnknownPlaceError(
            "La position de cette commune n'est pas connue : prenez-en une autre."
        )
    return commune.position


def _places(
    wanted: CompanySearch, distance: ColumnElement[Any] | None
) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.commune is not None:
        conditions.append(col(Company.commune_code).in_(with_districts(wanted.commune)))
    if wanted.near is not None and distance is not None:
        # The band of latitudes first: it has an index, the formula has none.
        middle = _position(wanted.near).latitude
        margin = wanted.radius_km / _KM_PER_DEGREE
        conditions.append(col(Company.latitude).between(middle - margin, middle + margin))
        conditions.append(distance <= wanted.radius_km)
    return conditions


def _order(wanted: CompanySearch, distance: ColumnElement[Any] | None) -> _Order:
    words = _words(wanted.q)
    if words:
        relevance = func.ts_rank(col(Company.search), _query(words)) + func.word_similarity(
            func.ccib_fold(wanted.q), col(Company.folded_name)
        )
        return _Order(key=-func.round(cast(relevance, Numeric), 6), kind=Decimal)
    if distance is not None:
        return _Order(key=distance, kind=Decimal)
    return _Order(key=col(Company.folded_name), kind=str)


def _facet(name: str, wanted: CompanySearch, viewer: Viewer) -> ColumnElement[bool]:
    """The condition of one facet; true when nothing of it was chosen."""
    chosen: list[str] = getattr(wanted, name)
    if not chosen:
        return literal_column("true")
    match name:
        case "department":
            return col(Company.department).in_(chosen)
        case "naf":
            return or_(*(col(Company.naf).startswith(code, autoescape=True) for code in chosen))
        case _:
            return exists(
                _shown_memberships(viewer).where(
                    or_(col(Community.slug).in_(chosen), cast(col(Community.id), Text).in_(chosen))
                )
            )


def _shown_memberships(viewer: Viewer) -> Select[Any]:
    return (
        select(1)
        .select_from(Membership)
        .join(Community, col(Community.id) == col(Membership.community_id))
        .where(
            col(Membership.company_id) == col(Company.id),
            col(Membership.state) == MembershipState.ACTIVE,
            can_see_company_in(viewer, col(Company.id)),
        )
        .correlate(Company)
    )


async def _count(
    session: AsyncSession,
    *,
    base: Sequence[ColumnElement[bool]],
    facets: dict[str, ColumnElement[bool]],
    viewer: Viewer,
) -> tuple[bool, int, Facets]:
    """Whether anybody is there at all, the total under the facets chosen, and each facet counted
    under all criteria but its own; one statement.
    """
    matched = (
        select(
            col(Company.id),
            col(Company.department),
            func.left(col(Company.naf), 2).label("naf"),
            *(condition.label(f"in_{name}") for name, condition in facets.items()),
        )
        .where(*base)
        .cte("matched")
        .prefix_with("MATERIALIZED")
    )

    def under(*names: str) -> ColumnElement[bool]:
        return and_(*(matched.c[f"in_{name}"] for name in names))

    belongs = (
        matched.join(Membership, col(Membership.company_id) == matched.c.id)
        .join(Community, col(Community.id) == col(Membership.community_id))
    )  # fmt: skip
    none = literal("")
    counts = await session.execute(
        union_all(
            select(literal("matched").label("facet"), none.label("value"), none.label("label"),
                   func.count().label("count")).select_from(matched),
            select(literal("total"), none, none, func.count()).where(under(*_FACETS)),
            select(literal("department"), matched.c.department, none, func.count())
            .where(under("naf", "community")).group_by(matched.c.department),
            select(literal("naf"), matched.c.naf, none, func.count())
            .where(under("department", "community"), matched.c.naf.is_not(None))
            .group_by(matched.c.naf),
            select(literal("community"), cast(col(Community.id), Text), col(Community.name),
                   func.count(matched.c.id.distinct()))
            .select_from(belongs)
            .where(under("department", "naf"), can_see_company_in(viewer, matched.c.id),
                   col(Membership.state) == MembershipState.ACTIVE)
            .group_by(col(Community.id), col(Community.name)),
        )
    )  # fmt: skip
    sums = {"matched": 0, "total": 0}
    found = {name: list[FacetValue]() for name in _FACETS}
    for facet, value, label, count in counts:
        if facet in sums:
            sums[facet] = count
        else:
            found[facet].append(
                FacetValue(value=value, label=label or _label(facet, value), count=count)
            )
    for values in found.values():
        values.sort(key=lambda one: (-one.count, one.label))
    return bool(sums["matched"]), sums["total"], Facets(**found)


def _label(facet: str, value: str) -> str:
    known = reference.departments() if facet == "department" else None
    if known is not None:
        return known[value].name if value in known else value
    activity = reference.activities().get(value)
    return activity.label if activity else value
