"""One table at the end of a run: what was injected, how often, what had to hold, and how soon it did.

Only for what ran. It is put together from the reports of the tests, so that it comes out the same
when they were spread over several processes.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.faults.scenarios import SCENARIOS, Scenario, scenario_of

_PROPERTY = "fault"


def tell(node: pytest.Item, *, injected: Sequence[str], seconds: float) -> None:
    """Let the table know what a test did: the kinds of its faults, the seconds until all settled."""
    node.user_properties.append(
        (_PROPERTY, {"injected": dict(Counter(injected)), "seconds": seconds})
    )


@dataclass
class Row:
    """One scenario in this run."""

    scenario: Scenario
    injected: int = 0
    runs: int = 0
    failed: int = 0
    seconds: list[float] = field(default_factory=list)


def rows(reports: Iterable[pytest.TestReport]) -> tuple[list[Row], Counter[str]]:
    """What ran, in the order of the registry's tests, and how often which kind was injected."""
    found: dict[str, Row] = {}
    kinds: Counter[str] = Counter()
    for report in reports:
        scenario = scenario_of(report.nodeid)
        if scenario is None or (report.when != "call" and not report.failed):
            continue
        row = found.setdefault(scenario.name, Row(scenario))
        row.runs += 1
        row.failed += report.failed
        told = [dict(value) for name, value in report.user_properties if name == _PROPERTY]  # type: ignore[call-overload]
        for one in told:
            kinds.update(one["injected"])
            row.injected += sum(one["injected"].values())
            row.seconds.append(one["seconds"])
        if not told:  # a place without the oracle: each test is one fault, and lasts as it lasts
            row.injected += 1
            row.seconds.append(report.duration)
    return sorted(found.values(), key=lambda row: SCENARIOS.index(row.scenario)), kinds


def table(found: Sequence[Row]) -> list[str]:
    """The lines of the table."""
    heads = ("fault", "injected", "held", "worst", "bound", "property")
    lines = [heads]
    for row in found:
        worst = max(row.seconds)
        held = f"NO ({row.failed} of {row.runs})" if row.failed else "yes"
        if not row.failed and worst > row.scenario.bound:
            held = "LATE"
        lines.append(
            (row.scenario.name, str(row.injected), held, f"{worst:.1f} s", f"{row.scenario.bound:g} s",
             row.scenario.promise)
        )  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table."""
    stats = terminalreporter.stats
    reports = [one for name in ("passed", "failed", "error") for one in stats.get(name, ())]
    found, kinds = rows(reports)
    if not found:
        return
    terminalreporter.section("faults")
    for line in table(found):
        terminalreporter.write_line(line)
    if kinds:
        listed = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
        terminalreporter.write_line(f"by kind: {listed}")
