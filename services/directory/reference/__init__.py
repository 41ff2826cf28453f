"""The official codes of places and activities, read once from the files of this folder."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal, cast

HERE = Path(__file__).parent

# 1 January of this year: the vintage of every commune code below.
COMMUNES_VINTAGE = 2026
NAF_NOMENCLATURE = "NAFRev2"

Precision = Literal["place", "postcode", "epci"]
Level = Literal["division", "group", "class", "subclass"]


@dataclass(frozen=True, slots=True)
class Position:
    """A point in WGS 84 degrees. `precision` says how it was found (README.md)."""

    longitude: float
    latitude: float
    precision: Precision


@dataclass(frozen=True, slots=True)
class Commune:
    """A commune, or one of the 45 municipal districts, which are `part_of` their city."""

    code: str
    name: str
    department: str
    region: str
    postcodes: tuple[str, ...]
    population: int
    part_of: str | None
    position: Position | None


@dataclass(frozen=True, slots=True)
class Department:
    code: str
    name: str
    region: str


@dataclass(frozen=True, slots=True)
class Region:
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Activity:
    """An entry of the nomenclature. Companies bear a `subclass`; the rest are its headings."""

    code: str
    level: Level
    label: str


@cache
def communes() -> Mapping[str, Commune]:
    positions = {
        row["code"]: Position(
            longitude=float(row["longitude"]),
            latitude=float(row["latitude"]),
            precision=cast(Precision, row["precision"]),
        )
        for row in _rows("communes_positions.csv")
    }
    return MappingProxyType(
        {
            row["code"]: Commune(
                code=row["code"],
                name=row["name"],
                department=row["department"],
                region=row["region"],
                postcodes=tuple(row["postcodes"].split()),
                population=int(row["population"] or 0),
                part_of=row["part_of"] or None,
                position=positions.get(row["code"]),
            )
            for row in _rows("communes.csv")
        }
    )


@cache
def former_communes() -> Mapping[str, str]:
    """Code no longer in use → code of the commune that took it over."""
    return MappingProxyType(
        {row["code"]: row["present_code"] for row in _rows("communes_former.csv")}
    )


def find_commune(code: str) -> Commune | None:
    """The commune of a code, old or present; None when no commune ever had it."""
    return communes().get(former_communes().get(code, code))


@cache
def departments() -> Mapping[str, Department]:
    return MappingProxyType(
        {
            row["code"]: Department(row["code"], row["name"], row["region"])
            for row in _rows("departments.csv")
        }
    )


@cache
def regions() -> Mapping[str, Region]:
    return MappingProxyType(
        {row["code"]: Region(row["code"], row["name"]) for row in _rows("regions.csv")}
    )


@cache
def activities() -> Mapping[str, Activity]:
    """NAF rev. 2, in force until NAF 2025 replaces it on 1 January 2027."""
    return MappingProxyType(
        {
            row["code"]: Activity(row["code"], cast(Level, row["level"]), row["label"])
            for row in _rows("naf.csv")
        }
    )


def sources() -> list[dict[str, object]]:
    """Package, version and licence behind each file."""
    read: list[dict[str, object]] = json.loads((HERE / "sources.json").read_text(encoding="utf-8"))
    return read


def _rows(name: str) -> Iterator[dict[str, str]]:
    with (HERE / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
