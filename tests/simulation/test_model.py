"""The protocol keeps its promises in the model, and each guard of it is needed."""

import pytest

from tests.simulation.explore import (
    SCOPE,
    SMALL,
    TINY,
    Counterexample,
    broken_walks,
    everywhere,
    walk,
    walks,
)
from tests.simulation.state import GUARDS

_FINDS = {
    "fence": ("late event was not fenced", 0),
    "foreign key": ("whom it had erased", 0),
    "ledger first": ("the copy does not hold it", 0),
    "restore gate": ("whom it had erased", 0),
    "frozen participants": ("has proven nothing", 380),
    "frozen again": ("has proven nothing", 100),
    "entry hash": ("is said to have found", 0),
    "applied": ("is said to have found", 0),
    "inbox": ("took effect twice", 0),
    "what was copied": ("the copy does not hold it", 385),
    "copy noticed": ("still holds", 4_680),
    "one active": ("two active erasures", 0),
}
"""What goes wrong without each guard, and a seed near the first that shows it."""


def test_every_promise_holds_in_thousands_of_interleavings() -> None:
    found = walks(range(1_500), scope=SCOPE)
    assert found == 1_500, str(found)


def test_every_promise_holds_everywhere_within_a_small_scope() -> None:
    seen = everywhere(scope=TINY)
    assert seen.counterexample is None, str(seen.counterexample)
    assert seen.complete
    assert seen.interleavings > 10**12


@pytest.mark.parametrize("guard", GUARDS)
def test_without_one_guard_a_promise_breaks(guard: str) -> None:
    reason, first = _FINDS[guard]
    found = walks(range(first, first + 3_000), scope=SCOPE, off=guard)
    assert isinstance(found, Counterexample), f"nothing needs {guard!r}: {GUARDS[guard]}"
    assert reason in found.reason, str(found)
    assert found.seed is not None
    assert walk(found.seed, scope=SCOPE, off=guard) == found  # the seed leads there again
    assert not isinstance(walk(found.seed, scope=SCOPE), Counterexample)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_every_promise_holds_in_a_million_interleavings() -> None:
    count, broken = broken_walks(interleavings=1_000_000, first=1_000_000)
    print(f"{count} interleavings of the model, {len(broken)} broken promises")
    assert not broken, str(broken[0])


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_state_near_the_beginning_of_a_larger_scope_breaks_a_promise() -> None:
    seen = everywhere(scope=SMALL, limit=200_000)
    print(f"{seen.states} states, {seen.transitions} transitions")
    assert seen.counterexample is None, str(seen.counterexample)
