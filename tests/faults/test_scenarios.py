"""The registry of faults is true, its schedules repeat themselves, and its table says what happened."""

import ast
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.faults import mix
from tests.faults.properties import PROPERTIES, as_table
from tests.faults.report import rows, table
from tests.faults.scenarios import SCENARIOS, scenario_of

TESTS = Path(__file__).parents[1]
BEYOND_THE_BUS = {
    "faults/test_bus_crashes.py::test_without_the_variable_no_point_does_anything",
}


def functions_of(path: Path) -> set[str]:
    return {
        f"{path.relative_to(TESTS)}::{one.name}"
        for one in ast.walk(ast.parse(path.read_text()))
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name.startswith("test_")
    }


def test_each_fault_names_tests_that_exist_and_each_only_once() -> None:
    places = [place for one in SCENARIOS for place in one.tests]
    assert [place for place, count in Counter(places).items() if count > 1] == []
    for place in places:
        assert place in functions_of(TESTS / place.partition("::")[0]), place
    assert len({one.name for one in SCENARIOS}) == len(SCENARIOS)


def test_the_suite_has_no_fault_that_is_not_in_the_registry() -> None:
    files = [*(TESTS / "faults").glob("test_bus_*.py"), TESTS / "faults" / "test_full_disk.py"]
    found = {test for path in files for test in functions_of(path)}
    assert found - BEYOND_THE_BUS - {place for one in SCENARIOS for place in one.tests} == set()


def test_each_property_of_erasure_names_tests_that_exist() -> None:
    for name, one in PROPERTIES.items():
        for place in one.tests:
            file, _, function = place.partition("::")
            found = functions_of(TESTS / file)
            assert found, (name, place)
            assert not function or place in found, (name, place)


def test_the_readme_shows_the_properties_as_they_are() -> None:
    assert as_table() in (TESTS / "faults" / "README.md").read_text()


def test_the_same_seed_gives_the_same_schedule_and_another_one_another() -> None:
    first = mix.schedule(seed=7, seconds=600)
    assert mix.schedule(seed=7, seconds=600) == first
    assert mix.schedule(seed=8, seconds=600) != first
    # Written down, for a library that draws otherwise would silently make old seeds worthless.
    assert [(one.at, one.kind) for one in first[:3]] == [
        (0.5, "duplicates"),
        (1.61, "poison"),
        (3.25, "kill consumer"),
    ]


def test_a_minute_holds_every_kind_of_fault_in_order_of_time() -> None:
    for seed in range(20):
        plan = mix.schedule(seed=seed, seconds=60)
        assert {one.kind for one in plan} == set(mix.KINDS)
        assert [one.at for one in plan] == sorted(one.at for one in plan)


def a_report(nodeid: str, outcome: Any, **told: Any) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=nodeid,
        location=(nodeid, 0, nodeid),
        keywords={},
        outcome=outcome,
        longrepr=None,
        when="call",
        duration=1.5,
        user_properties=[("fault", told)] if told else [],
    )


def test_the_table_counts_what_ran_and_hides_no_failure() -> None:
    kills, late = SCENARIOS[0], next(one for one in SCENARIOS if one.bound == 10)
    elsewhere = next(place for one in SCENARIOS for place in one.tests if "privacy" in place)
    reports = [
        a_report(f"tests/{kills.tests[0]}[a]", "passed", injected={"kill": 2}, seconds=3.0),
        a_report(f"tests/{kills.tests[0]}[b]", "failed"),
        a_report(f"tests/{late.tests[0]}", "passed", injected={"cut": 1}, seconds=11.0),
        a_report(f"tests/{elsewhere}", "passed"),
        a_report("tests/seed/test_seed.py::test_else", "passed"),
    ]
    found, kinds = rows(reports)
    lines = table(found)
    assert len(lines) == 1 + 3
    assert [line.split("  ")[0] for line in lines[1:3]] == [kills.name, late.name]
    assert "NO (1 of 2)" in lines[1]
    assert "LATE" in lines[2]
    assert scenario_of(f"tests/{elsewhere}") in [row.scenario for row in found]
    assert kinds == {"kill": 2, "cut": 1}
