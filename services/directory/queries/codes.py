"""Reads of the official codes, for forms."""

import unicodedata
from functools import cache

from services.directory import reference
from services.directory.schemas.reference import ActivityView, CommuneView

_MOST = 20


def _fold(value: str) -> str:
    plain = unicodedata.normalize("NFKD", value.replace("œ", "oe").replace("Œ", "OE"))
    letters = "".join(c if c.isalnum() else " " for c in plain if not unicodedata.combining(c))
    return " ".join(letters.lower().split())


@cache
def _communes() -> list[tuple[str, reference.Commune]]:
    """Folded names, the most populated first: the one that is meant is usually among them."""
    largest_first = sorted(reference.communes().values(), key=lambda one: -one.population)
    return [(_fold(one.name), one) for one in largest_first]


@cache
def _activities() -> list[tuple[str, reference.Activity]]:
    return [
        (f"{_fold(one.code)} {_fold(one.label)}", one)
        for one in reference.activities().values()
        if one.level == "subclass"
    ]


def communes(q: str) -> list[CommuneView]:
    """Communes whose name begins with `q`, or that have this postcode or code."""
    wanted = _fold(q)
    found = [
        commune
        for name, commune in _communes()
        if name.startswith(wanted)
        or commune.code == q.upper()
        or (len(wanted) == 5 and wanted in commune.postcodes)
    ]
    return [
        CommuneView(
            code=commune.code,
            name=commune.name,
            department=commune.department,
            postcodes=list(commune.postcodes),
        )
        for commune in found[:_MOST]
    ]


def activities(q: str) -> list[ActivityView]:
    """Activity codes that begin so, or whose label has every word."""
    words = _fold(q).split()
    found = [one for text, one in _activities() if all(word in text for word in words)]
    return [
        ActivityView(code=one.code, label=one.label, version=reference.NAF_NOMENCLATURE)
        for one in found[:_MOST]
    ]


@cache
def _districts() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for commune in reference.communes().values():
        if commune.part_of:
            found.setdefault(commune.part_of, []).append(commune.code)
    return found


def with_districts(code: str) -> list[str]:
    """The present code of a commune, with its municipal districts: registers use those."""
    commune = reference.find_commune(code)
    present = commune.code if commune else code
    return [present, *_districts().get(present, ())]
