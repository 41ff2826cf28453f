"""The reference data is whole: every code resolves, nothing stands twice."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from services.directory import reference

FOLDER = Path(reference.__file__).parent


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.csv")), ids=lambda file: file.stem)
def test_codes_of_a_file_are_unique_and_sorted(file: Path) -> None:
    with file.open(encoding="utf-8", newline="") as lines:
        codes = [row["code"] for row in csv.DictReader(lines)]
    assert codes == sorted(set(codes))


def test_france_is_complete() -> None:
    communes = reference.communes().values()
    assert len([c for c in communes if c.part_of is None]) > 34_900
    assert Counter(c.part_of for c in communes if c.part_of) == {
        "75056": 20,
        "13055": 16,
        "69123": 9,
    }
    metropolitan_and_overseas_departments = [
        d for d in reference.departments() if d[:2] != "97" or d in _OVERSEAS_DEPARTMENTS
    ]
    assert len([d for d in metropolitan_and_overseas_departments if d[:2] != "98"]) == 101
    assert 66_000_000 < sum(c.population for c in communes if not c.part_of) < 70_000_000


_OVERSEAS_DEPARTMENTS = {"971", "972", "973", "974", "976"}


def test_every_department_has_a_region_and_every_commune_a_department() -> None:
    regions, departments = reference.regions(), reference.departments()
    assert all(d.region in regions for d in departments.values())
    for commune in reference.communes().values():
        assert departments[commune.department].region == commune.region
        assert commune.code.startswith(commune.department)
        assert commune.postcodes or commune.department == "984"  # nobody lives there


def test_an_old_code_leads_to_the_present_commune() -> None:
    former, communes = reference.former_communes(), reference.communes()
    assert len(former) > 4_000
    assert all(new in communes and old not in communes for old, new in former.items())
    cherbourg_octeville = reference.find_commune("50173")
    assert cherbourg_octeville is not None
    assert cherbourg_octeville.name == "Cherbourg-en-Cotentin"
    assert reference.find_commune("99999") is None


def test_activities_are_naf_revision_2() -> None:
    levels = Counter(a.level for a in reference.activities().values())
    assert levels == {"division": 88, "group": 272, "class": 615, "subclass": 732}
    assert reference.activities()["10.51C"].label == "Fabrication de fromage"
    assert all(a.label.strip() for a in reference.activities().values())


def test_positions_lie_where_france_is() -> None:
    communes = reference.communes()
    placed = [c for c in communes.values() if c.position]
    assert len(placed) / len(communes) > 0.98
    for commune in placed:
        assert commune.position is not None
        if commune.department < "97":
            assert -5.3 < commune.position.longitude < 9.7
            assert 41.2 < commune.position.latitude < 51.2
    caen = reference.find_commune("14118")
    assert caen is not None
    assert caen.position is not None
    assert caen.position.precision == "place"
    assert (caen.position.longitude, caen.position.latitude) == pytest.approx(
        (-0.36, 49.18), abs=0.03
    )


def test_every_file_names_its_source_and_a_licence_lies_beside_it() -> None:
    sourced = {file for source in reference.sources() for file in source["files"]}  # type: ignore[attr-defined]
    assert sourced == {file.name for file in FOLDER.glob("*.csv")}
    licences = {file.name for file in (FOLDER / "licences").iterdir()}
    assert licences == {
        "cities-json.txt",
        "codes-naf.txt",
        "decoupage-administratif.txt",
    }
    [vintage] = {source["vintage"] for source in reference.sources() if "vintage" in source}
    assert vintage == reference.COMMUNES_VINTAGE
