"""The checker itself: it accepts what is right and finds each thing that can be wrong."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.checker import check
from tests.faults.history import History

Lines = list[tuple[str, dict[str, Any]]]

AGGREGATES, LONG = ("a", "b"), 3


def a_sound_run() -> Lines:
    """Two aggregates, three events each, one of them delivered twice."""
    events = [(f"{name}{number}", name, number) for number in range(LONG) for name in AGGREGATES]
    plan = {"seed": 1, "consumers": ["beta"], "bound": 10}
    lines: Lines = [("plan", plan), ("fault", {"kind": "kill", "target": "relay"})]
    lines[1][1]["phase"] = "injected"
    for event, _, _ in events:
        lines += [("commit", {"op": f"op-{event}", "phase": one}) for one in ("invoke", "ok")]
    lines.append(("fault", {"kind": "kill", "target": "relay", "phase": "healed"}))
    for event, aggregate, sequence in [*events, events[0]]:
        seen = {"event": event, "aggregate": aggregate, "sequence": sequence}
        lines.append(("delivered", seen))
    lines.append(("settled", {"seconds": 1.0}))
    for event, aggregate, sequence in events:
        stored = {"event": event, "aggregate": aggregate, "sequence": sequence}
        lines.append(("committed", {**stored, "op": f"op-{event}"}))
        lines.append(("published", {"event": event}))
        lines.append(("effect", {"consumer": "beta", "event": event}))
    return lines


def without(what: str, **wanted: Any) -> Callable[[Lines], None]:
    def edit(lines: Lines) -> None:
        lines.remove(
            next(one for one in lines if one[0] == what and wanted.items() <= one[1].items())
        )

    return edit


def and_also(what: str, **more: Any) -> Callable[[Lines], None]:
    return lambda lines: lines.append((what, more))


def swapped(what: str) -> Callable[[Lines], None]:
    """The first two of an aggregate change places."""

    def edit(lines: Lines) -> None:
        first, second = (
            next(
                place
                for place, one in enumerate(lines)
                if one[0] == what and one[1]["event"] == event
            )
            for event in ("b0", "b1")
        )
        lines[first], lines[second] = lines[second], lines[first]

    return edit


def written(folder: Path, lines: Lines) -> Path:
    history = History(folder / "history.jsonl")
    for number, (what, more) in enumerate(lines):
        history.note(what, **{"at": 1000.0 + number, **more})
    history.close()
    return history.path


def test_a_sound_history_is_accepted(tmp_path: Path) -> None:
    path = written(tmp_path, a_sound_run())
    assert check(path) == []
    checked = subprocess.run(
        [sys.executable, "-m", "tests.faults.checker", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout) == (0, "the history adds up\n")


@pytest.mark.parametrize(
    ("edit", "verdict"),
    [
        (without("delivered", event="b1"), "lost: committed and never delivered (1): b1"),
        (
            and_also("delivered", event="x", aggregate="a", sequence=9),
            "ghost: delivered and never committed (1): x",
        ),
        (without("effect", event="b1"), "beta: without effect (1): b1"),
        (and_also("effect", consumer="beta", event="b1"), "beta: more than one effect (1): b1"),
        (
            and_also("effect", consumer="beta", event="x"),
            "beta: effect of nothing committed (1): x",
        ),
        (swapped("effect"), "beta: took effect out of order (1): b: 0 after 1"),
        (swapped("delivered"), "delivered out of order (1): b: 0 after 1"),
        (without("committed", event="a2"), "promised to a writer and not committed (1): op-a2"),
        (
            and_also("effect", consumer="beta", event="a0", at=1.0),
            "took effect before it was asked for (1): a0",
        ),
        (
            and_also("published", event="x"),
            "held for published and never delivered (1): x",
        ),
        (
            without("published", event="a0"),
            "committed, delivered and never held for published (1): a0",
        ),
        (
            and_also("delivered", event="a0", aggregate="a", sequence=7),
            "delivered as something else than what was committed (1): a0",
        ),
        (and_also("poison", op="op-b2"), "beta: effect of what must fail (1): b2"),
        (and_also("garbage", token="rot"), "should be a dead letter and is none (1): rot"),
        (and_also("dead", token="op-b2"), "a dead letter without reason (1): op-b2"),
        (without("fault", phase="healed"), "never healed (1): kill relay"),
        (without("settled"), "not settled within 10 s"),
        (and_also("settled", seconds=11.0), "settled after 11.0 s, not within 10 s"),
        (
            lambda lines: lines.__delitem__(slice(1, None)),
            "nothing was committed: there is nothing to judge",
        ),
        (without("plan"), "a history has one plan"),
    ],
    ids=lambda one: one.partition(" (")[0] if isinstance(one, str) else "",
)
def test_what_is_wrong_is_found_and_named(
    edit: Callable[[Lines], None], verdict: str, tmp_path: Path
) -> None:
    lines = a_sound_run()
    edit(lines)
    path = written(tmp_path, lines)
    assert verdict in check(path)
    checked = subprocess.run([sys.executable, "-m", "tests.faults.checker", path], check=False)
    assert checked.returncode == 1


def test_a_writer_that_died_leaves_open_whether_it_committed(tmp_path: Path) -> None:
    lines = a_sound_run()
    without("commit", op="op-a0", phase="ok")(lines)
    and_also("commit", op="op-never", phase="invoke")(lines)
    assert check(written(tmp_path, lines)) == []
