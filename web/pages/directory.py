"""The directory of companies: words, places and facets, all of them in the address."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response

from web.forms import Form, blank
from web.gateway import Api, ApiError
from web.rendering import page
from web.runtime import runtime_of
from web.sessions import CurrentPerson, Person

router = APIRouter()

FACETS = (("community", "Communauté"), ("naf", "Activité"), ("department", "Département"))
DISTANCES = (
    *(("0", "dans la commune"), ("10", "à 10 km"), ("30", "à 30 km")),
    *(("60", "à 60 km"), ("100", "à 100 km"), ("200", "à 200 km")),
)
_USUAL = "30"
_PAGE = 20
_SHOWN = 8
"""Values of a facet that stand open, with those that were chosen; the others are behind a fold."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the address asks for; `with_` and `without` give the addresses around it."""

    pairs: tuple[tuple[str, str], ...]

    def first(self, name: str) -> str:
        return next((value.strip() for key, value in self.pairs if key == name), "")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key == name]

    def without(self, *names: str, value: str | None = None) -> str:
        """The same search without these, from its first page."""
        return _address(
            (key, one)
            for key, one in self.pairs
            if key != "after" and not (key in names and value in (None, one))
        )

    def next_page(self, after: str) -> str:
        return _address([*((k, v) for k, v in self.pairs if k != "after"), ("after", after)])


def _address(pairs: Any) -> str:
    told = urlencode(list(pairs))
    return f"/annuaire?{told}" if told else "/annuaire"


@router.get("/annuaire")
async def directory(request: Request, person: CurrentPerson) -> Response:
    known = {"q", "place", "distance", "after", *(name for name, _ in FACETS)}
    wish = Wish(
        pairs=tuple((k, v) for k, v in request.query_params.multi_items() if k in known and v)
    )
    form = blank(q=wish.first("q"), place=wish.first("place"), distance=_distance(wish))
    places = await _places(person.api, wish)
    if wish.first("place") and not places:
        form.fail("place", "Aucune commune ne porte ce nom ou ce code. Vérifiez l'orthographe.")
    found = await _search(person.api, wish, form, places)
    communities = await runtime_of(request).public("directory/communities?limit=100")
    names = {one["id"]: one["name"] for one in communities["items"]}
    facets = _facets(found, wish, names)
    return page(
        request,
        "directory/search.html",
        fragment="search",
        form=form,
        wish=wish,
        found=found,
        place=places[0] if places else None,
        alike=places[1:6],
        facets=facets,
        chips=_chips(facets, wish, places, form),
        distances=DISTANCES,
        shown=_SHOWN,
        outside=len(found["items"]) < _PAGE and await _outside(person),
    )


async def _outside(person: Person) -> bool:
    """Who belongs to no community sees their own companies at most."""
    if person.manages:
        return False
    memberships = await person.api.get("directory/me/memberships")
    return all(one["state"] != "active" for one in memberships)


def _distance(wish: Wish) -> str:
    asked = wish.first("distance")
    return asked if asked in dict(DISTANCES) else _USUAL


async def _places(api: Api, wish: Wish) -> list[dict[str, Any]]:
    """The communes that may be meant, the likeliest first: so named, else the largest."""
    asked = wish.first("place")
    if len(asked) < 2:
        return []
    found = await api.get("directory/reference/communes", q=asked[:100])
    return sorted(found, key=lambda one: _folded(one["name"]) != _folded(asked))


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in plain if letter.isalnum())


async def _search(api: Api, wish: Wish, form: Form, places: list[dict[str, Any]]) -> dict[str, Any]:
    wanted: dict[str, Any] = {name: wish.all(name) for name, _ in FACETS}
    wanted |= {"q": wish.first("q")[:200], "after": wish.first("after"), "limit": _PAGE}
    if places:
        code, distance = places[0]["code"], form.value("distance")
        wanted |= {"commune": code} if distance == "0" else {"near": code, "radius_km": distance}
    try:
        found: dict[str, Any] = await api.get("directory/companies", **wanted)
    except ApiError as refused:
        if refused.slug != "unknown-place":
            raise
        form.refuse(refused, at="place")
        found = {"items": [], "total": 0, "facets": {}, "next": None}
    return found


def _facets(found: dict[str, Any], wish: Wish, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Values with their counts; one that was chosen and finds nobody can still be taken back."""
    shown = []
    for name, label in FACETS:
        chosen = wish.all(name)
        values = [
            {**one, "chosen": one["value"] in chosen} for one in found["facets"].get(name, ())
        ]
        there = {one["value"] for one in values}
        values += [
            {"value": value, "label": names.get(value, value), "count": 0, "chosen": True}
            for value in dict.fromkeys(chosen)
            if value not in there
        ]
        values.sort(key=lambda one: not one["chosen"])
        shown.append({"name": name, "label": label, "values": values})
    return shown


def _chips(
    facets: list[dict[str, Any]], wish: Wish, places: list[dict[str, Any]], form: Form
) -> list[tuple[str, str]]:
    """What was chosen, and the address without it."""
    chips = []
    if wish.first("q"):
        chips.append((f"« {wish.first('q')} »", wish.without("q")))
    if places:
        how = dict(DISTANCES)[form.value("distance")]
        name = f"{places[0]['name']} ({places[0]['department']})"
        said = f"À {name}" if how == "dans la commune" else f"{how.capitalize()} de {name}"
        chips.append((said, wish.without("place", "distance")))
    for facet in facets:
        chips += [
            (one["label"], wish.without(facet["name"], value=one["value"]))
            for one in facet["values"]
            if one["chosen"]
        ]
    return chips
