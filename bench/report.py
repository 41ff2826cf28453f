"""The table, the file of results, and the charts."""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.charts import chart
from bench.figures import Figure

_HEAD = ("figure", "measured", "reference", "ratio", "goal", "held")


def number(value: float | None) -> str:
    """Three significant digits, thousands in full."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(figures: Sequence[Figure], failures: Mapping[str, str]) -> str:
    """All figures, one a line, and below them what could not be measured."""
    rows = [_HEAD, *map(_row, figures)]
    rows += [(name, "not measured", "", "", "", "no") for name in failures]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEAD))]
    lines = [
        "  ".join(
            cell.ljust(width) if place in (0, 2) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    rule = "-" * max(map(len, lines))
    reasons = [f"{name}: {reason}" for name, reason in failures.items()]
    return "\n".join([lines[0], rule, *lines[1:], *reasons])


def _row(figure: Figure) -> tuple[str, ...]:
    reference = ""
    if figure.reference is not None:
        mark = " (published)" if figure.published else ""
        reference = f"{number(figure.reference)} {figure.unit}: {figure.reference_name}{mark}"
    beyond = "" if figure.p99 is None else f", p99 {number(figure.p99)}"
    held = {None: "", True: "yes", False: "NO"}[figure.holds]
    return (
        figure.name,
        f"{number(figure.measured)} {figure.unit}{beyond}",
        reference,
        number(figure.ratio) if figure.reference is not None else "",
        str(figure.goal) if figure.goal else "",
        held,
    )


def write_results(
    path: Path,
    *,
    about: Mapping[str, Any],
    groups: Mapping[str, Sequence[Figure]],
    failures: Mapping[str, str],
) -> None:
    """Everything, as JSON; `groups` by module."""
    content = {
        **about,
        "figures": [
            {
                "group": group,
                **dataclasses.asdict(figure),
                "goal": str(figure.goal) if figure.goal else None,
                "ratio": figure.ratio,
                "holds": figure.holds,
            }
            for group, figures in groups.items()
            for figure in figures
        ],
        "not_measured": dict(failures),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=1, ensure_ascii=False, default=str)
    # A list of numbers on one line: a run then differs from another one where it differs.
    text = re.sub(r"\[\s+([-\d][^\[\]{}]*?)\s+\]", lambda found: f"[{_one_line(found[1])}]", text)
    path.write_text(text + "\n", encoding="utf-8")


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def write_charts(folder: Path, groups: Mapping[str, Sequence[Figure]]) -> None:
    """One chart per group."""
    folder.mkdir(parents=True, exist_ok=True)
    for group, figures in groups.items():
        if figures:
            (folder / f"{group}.svg").write_text(chart(group, figures), encoding="utf-8")
