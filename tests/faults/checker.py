"""The oracle: `python -m tests.faults.checker FILE` reads a history, and nothing else, and judges it.

E: committed events, D: what the broker handed out, F: effects. E ⊆ D, D ⊆ E, F has each event of E
exactly once per consumer; first occurrences in D, and all of F, are in the order of the commits of
each aggregate. What was promised to a writer is in E. It imports nothing of what it judges.
"""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_TOLD = 5
"""So many examples of one violation are told."""


@dataclass
class _Read:
    """A history by kind of line."""

    plan: dict[str, Any] = field(default_factory=dict)
    lines: defaultdict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))


def check(path: Path) -> list[str]:
    """Every violation in words; none when the history adds up."""
    read = _Read()
    for line in path.read_text().splitlines():
        one = json.loads(line)
        read.lines[one["what"]].append(one)
    plans = read.lines["plan"]
    if len(plans) != 1:
        return ["a history has one plan"]
    read.plan = plans[0]
    return list(_violations(read))


def _violations(read: _Read) -> Iterator[str]:
    committed = {one["event"]: one for one in read.lines["committed"]}
    if not committed:
        yield "nothing was committed: there is nothing to judge"
    yield from _promises(read, committed)
    yield from _deliveries(read, committed)
    for consumer in read.plan["consumers"]:
        yield from _effects(read, committed, consumer)
    yield from _dead_letters(read)
    yield from _ends(read)


def _promises(read: _Read, committed: dict[str, dict[str, Any]]) -> Iterator[str]:
    stored = {one["op"] for one in committed.values()}
    phases: defaultdict[str, set[str]] = defaultdict(set)
    for one in read.lines["commit"]:
        phases[one["phase"]].add(one["op"])
    yield from _some("promised to a writer and not committed", phases["ok"] - stored)
    if phases["invoke"]:
        yield from _some("committed and never asked for", stored - phases["invoke"])
    asked = {one["op"]: one["at"] for one in read.lines["commit"] if one["phase"] == "invoke"}
    yield from _some(
        "took effect before it was asked for",
        (
            one["event"]
            for one in read.lines["effect"]
            if one["event"] in committed
            and one["at"] < asked.get(committed[one["event"]]["op"], one["at"])
        ),
    )


def _deliveries(read: _Read, committed: dict[str, dict[str, Any]]) -> Iterator[str]:
    delivered = read.lines["delivered"]
    seen = {one["event"] for one in delivered}
    yield from _some("lost: committed and never delivered", committed.keys() - seen)
    planted = {one["token"] for one in read.lines["garbage"]}
    yield from _some("ghost: delivered and never committed", seen - committed.keys() - planted)
    published = {one["event"] for one in read.lines["published"]}
    yield from _some("held for published and never delivered", published - seen)
    yield from _some(
        "committed, delivered and never held for published", (committed.keys() & seen) - published
    )
    yield from _some(
        "delivered as something else than what was committed",
        (
            one["event"]
            for one in delivered
            if one["event"] in committed
            and any(
                one[name] != committed[one["event"]][name] for name in ("aggregate", "sequence")
            )
        ),
    )
    yield from _order("delivered", delivered, committed)


def _effects(read: _Read, committed: dict[str, dict[str, Any]], consumer: str) -> Iterator[str]:
    effects = [one for one in read.lines["effect"] if one["consumer"] == consumer]
    counts = Counter(one["event"] for one in effects)
    poison = {one["op"] for one in read.lines["poison"]}
    poisoned = {event for event, one in committed.items() if one["op"] in poison}
    yield from _some(f"{consumer}: without effect", committed.keys() - counts.keys() - poisoned)
    yield from _some(f"{consumer}: effect of nothing committed", counts.keys() - committed.keys())
    yield from _some(f"{consumer}: effect of what must fail", counts.keys() & poisoned)
    yield from _some(
        f"{consumer}: more than one effect", (event for event, count in counts.items() if count > 1)
    )
    yield from _order(f"{consumer}: took effect", effects, committed)


def _order(
    what: str, happenings: Sequence[dict[str, Any]], committed: dict[str, dict[str, Any]]
) -> Iterator[str]:
    """First occurrences only: a repetition is no disorder."""
    last: dict[str, int] = {}
    seen: set[str] = set()
    swapped = []
    for one in happenings:
        event = committed.get(one["event"])
        if event is None or one["event"] in seen:
            continue
        seen.add(one["event"])
        if event["sequence"] < last.get(event["aggregate"], -1):
            swapped.append(
                f"{event['aggregate']}: {event['sequence']} after {last[event['aggregate']]}"
            )
        last[event["aggregate"]] = max(event["sequence"], last.get(event["aggregate"], -1))
    yield from _some(f"{what} out of order", swapped)


def _dead_letters(read: _Read) -> Iterator[str]:
    expected = Counter(one["op"] for one in read.lines["poison"])
    expected.update(one["token"] for one in read.lines["garbage"])
    found = Counter(one["token"] for one in read.lines["dead"])
    yield from _some("should be a dead letter and is none", expected - found)
    yield from _some("a dead letter without reason", found - expected)


def _ends(read: _Read) -> Iterator[str]:
    open_faults: Counter[str] = Counter()
    for one in read.lines["fault"]:
        open_faults[f"{one['kind']} {one['target']}"] += 1 if one["phase"] == "injected" else -1
    yield from _some("never healed", +open_faults)
    settled = read.lines["settled"]
    if not settled:
        yield f"not settled within {read.plan['bound']} s"
    elif settled[-1]["seconds"] > read.plan["bound"]:
        yield f"settled after {settled[-1]['seconds']:.1f} s, not within {read.plan['bound']} s"


def _some(what: str, which: Iterable[str]) -> Iterator[str]:
    found = sorted(which)
    if found:
        more = f" and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
        yield f"{what} ({len(found)}): {', '.join(found[:_TOLD])}{more}"


if __name__ == "__main__":
    trouble = check(Path(sys.argv[1]))
    print("\n".join(trouble) or "the history adds up")
    sys.exit(bool(trouble))
