"""The words of the demo (data/*.toml), ready to be drawn from."""

import tomllib
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from random import Random
from typing import Any

from services.directory import reference

DATA = Path(__file__).parent / "data"

# What part of the demo's companies are sole traders, whose sheet is personal data.
SOLE_TRADERS = 0.08

PHONE_AREAS = {
    "11": "1",
    "28": "2",
    "53": "2",
    "52": "2",
    "24": "2",
    "32": "3",
    "44": "3",
    "84": "4",
    "76": "5",
    "75": "5",
}


@dataclass(frozen=True, slots=True)
class Stem:
    """A word for a trade, with its gender and number: m, f, mp, fp."""

    word: str
    gender: str


@dataclass(frozen=True, slots=True)
class Trade:
    key: str
    naf: tuple[str, ...]
    stems: tuple[Stem, ...]
    roots: tuple[str, ...]
    does: tuple[str, ...]
    aligned: bool
    sole: bool
    house: bool
    firm: bool
    digital: bool


@dataclass(frozen=True, slots=True)
class Region:
    code: str
    adjective: dict[str, str]
    roots: tuple[str, ...]
    words: tuple[str, ...]
    families: tuple[str, ...]
    phone_area: str


@dataclass(frozen=True, slots=True)
class Theme:
    """What one community is about, and where its companies stand."""

    slug: str
    name: str
    cci: str
    sector: str | None
    region: Region
    departments: tuple[str, ...]
    national: bool
    description: str
    naf_divisions: tuple[str, ...]
    certifications: tuple[str, ...]
    subjects: tuple[tuple[str, str], ...]
    share: int
    trades: tuple[Trade, ...]
    trade_weights: tuple[int, ...]
    towns: tuple[reference.Commune, ...]
    town_weights: tuple[float, ...]


def load(name: str) -> dict[str, Any]:
    return tomllib.loads((DATA / f"{name}.toml").read_text(encoding="utf-8"))


@cache
def trades() -> dict[str, Trade]:
    return {
        key: Trade(
            key=key,
            naf=tuple(raw["naf"]),
            stems=tuple(Stem(*stem.rsplit(" ", 1)) for stem in raw["stems"]),
            roots=tuple(raw["roots"]),
            does=tuple(raw["does"]),
            aligned=raw.get("aligned", False),
            sole=raw.get("sole", False),
            house=raw.get("house", False),
            firm=raw.get("firm", False),
            digital=raw.get("digital", False),
        )
        for key, raw in load("trades").items()
    }


@cache
def regions() -> dict[str, Region]:
    families = load("names")["family"]
    return {
        code: Region(
            code=code,
            adjective=dict(zip(("m", "f", "mp", "fp"), raw["adjective"], strict=True)),
            roots=tuple(raw["roots"]),
            words=tuple(raw["words"]),
            families=tuple(families[code]),
            phone_area=PHONE_AREAS[code],
        )
        for code, raw in load("places")["region"].items()
    }


@cache
def themes() -> tuple[Theme, ...]:
    subjects = load("consultations")
    return tuple(_theme(raw, subjects[raw["slug"]]) for raw in load("communities")["community"])


def _theme(raw: dict[str, Any], subjects: list[str]) -> Theme:
    own = [trades()[key] for key in raw["trades"]]
    towns = _towns(raw["departments"])
    return Theme(
        slug=raw["slug"],
        name=raw["name"],
        cci=raw["cci"],
        sector=raw.get("sector"),
        region=regions()[raw["region"]],
        departments=tuple(raw["departments"]),
        national=raw.get("national", False),
        description=raw["description"],
        naf_divisions=tuple(sorted({naf[:2] for trade in own for naf in trade.naf}))
        if "sector" in raw
        else (),
        certifications=tuple(raw["certifications"]),
        subjects=tuple(_split(subject) for subject in subjects),
        share=raw["share"],
        trades=tuple(own),
        trade_weights=tuple(accumulate(raw["trades"].values())),
        towns=towns,
        # Workshops settle outside the largest cities: less than proportional to the population.
        town_weights=tuple(accumulate(town.population**0.9 for town in towns)),
    )


def _split(subject: str) -> tuple[str, str]:
    title, need = subject.split(" | ")
    return title, need


def _towns(departments: list[str]) -> tuple[reference.Commune, ...]:
    """Where a company may stand; a district stands for its city, as in the business register."""
    communes = reference.communes().values()
    cut = {commune.part_of for commune in communes}
    wanted = set(departments)
    return tuple(
        commune
        for commune in communes
        if commune.department in wanted and commune.postcodes and commune.code not in cut
    )


@cache
def sole_rate() -> float:
    """Share of sole traders to draw among the trades where they are usual."""
    usual = total = 0.0
    for theme in themes():
        weights = [b - a for a, b in pairwise((0, *theme.trade_weights))]
        fitting = sum(w for trade, w in zip(theme.trades, weights, strict=True) if trade.sole)
        usual += theme.share * fitting / theme.trade_weights[-1]
        total += theme.share
    return SOLE_TRADERS * total / usual


@dataclass(frozen=True, slots=True)
class Given:
    """A person's names, and whether French agrees with them in the feminine."""

    first: str
    last: str
    woman: bool


@cache
def _first_names() -> tuple[tuple[str, ...], tuple[str, ...]]:
    raw = load("names")["first"]
    return tuple(raw["women"]), tuple(raw["men"])


@cache
def _everywhere() -> tuple[str, ...]:
    return tuple(load("names")["family"]["everywhere"])


def family_name(rng: Random, *, region: Region) -> str:
    return rng.choice(region.families if rng.random() < 0.62 else _everywhere())


def given(rng: Random, *, region: Region, family: str | None = None, women: float = 0.42) -> Given:
    woman = rng.random() < women
    first = rng.choice(_first_names()[0 if woman else 1])
    return Given(first=first, last=family or family_name(rng, region=region), woman=woman)
