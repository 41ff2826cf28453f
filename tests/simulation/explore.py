"""Walking through the model: at random from a seed, and everywhere within a small scope."""

import os
import random
import sys
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

from tests.simulation.model import step
from tests.simulation.moves import moves
from tests.simulation.promises import check, check_end
from tests.simulation.state import Broken, Move, Scope, begin

_LONGEST = 400
"""Moves after which a walk that has not come to rest never will."""

SCOPE = Scope()
"""What is walked at random."""

SMALL = Scope(
    services=("identity", "directory", "privacy"),
    people=1,
    writes=1,
    doors=("account",),
    replicas=1,
    partner=False,
    crashes=1,
    repeats=0,
    restores=1,
    lies=0,
)
"""Large enough that being everywhere takes many minutes."""

TINY = replace(SMALL, writes=0, crashes=0, restores=0)
"""Small enough to be everywhere in seconds."""


@dataclass(frozen=True)
class Counterexample:
    """A promise that does not hold, and how to get there."""

    reason: str
    trace: tuple[Move, ...]
    seed: int | None = None

    def __str__(self) -> str:
        steps = "\n".join(f"  {number:3} {move}" for number, move in enumerate(self.trace, 1))
        again = f"\nagain: python -m tests.simulation --walk {self.seed}" if self.seed else ""
        return f"{self.reason}, after\n{steps}{again}"


def walk(seed: int, *, scope: Scope, off: str | None = None) -> Counterexample | tuple[Move, ...]:
    """One interleaving: disturbed for a while, then left alone until nothing is left to do.

    Returns its moves, or the counterexample that it is.
    """
    drawn = random.Random(seed)
    world, trace = begin(scope, off=off), list[Move]()
    disturbed = drawn.randrange(10, 90)
    try:
        while found := moves(world, faults=len(trace) < disturbed):
            if len(trace) > _LONGEST:
                raise Broken("does not come to rest")
            move = drawn.choice(found)
            trace.append(move)
            step(world, move)
            check(world)
        check_end(world)
    except Broken as broken:
        return Counterexample(str(broken), tuple(trace), seed)
    return tuple(trace)


def walks(seeds: Iterable[int], *, scope: Scope, off: str | None = None) -> Counterexample | int:
    """The first counterexample, or how many interleavings there were."""
    count = 0
    for seed in seeds:
        found = walk(seed, scope=scope, off=off)
        if isinstance(found, Counterexample):
            return found
        count += 1
    return count


@dataclass
class Everywhere:
    """What an exhaustive search has seen."""

    states: int = 0
    transitions: int = 0
    interleavings: int = 0
    """Different ways from the beginning to an end, each through states that were all looked at."""
    complete: bool = True
    """False when it stopped at its limit."""
    counterexample: Counterexample | None = None


def everywhere(*, scope: Scope, off: str | None = None, limit: int = 1_000_000) -> Everywhere:
    """Every state that can be reached within the scope, up to `limit`, shortest ways first.

    States are told apart by the hash of all that they hold.
    """
    seen = Everywhere()
    first = begin(scope, off=off)
    came: dict[int, tuple[int, Move] | None] = {hash(first.key()): None}
    following: dict[int, list[int]] = {}
    ahead = deque([(hash(first.key()), first)])
    while ahead:
        here, world = ahead.popleft()
        seen.states += 1
        following[here] = []
        try:
            if not (found := moves(world)):
                check_end(world)
            for move in found:
                there = world.copy()
                step(there, move)
                check(there)
                seen.transitions += 1
                key = hash(there.key())
                if key == here:
                    continue  # nothing has happened
                following[here].append(key)
                if key not in came:
                    came[key] = here, move
                    if len(came) <= limit:
                        ahead.append((key, there))
                    else:
                        seen.complete = False
        except Broken as broken:
            trace = (*_way(came, here), *((move,) if found else ()))
            seen.counterexample = Counterexample(str(broken), trace)
            return seen
    if seen.complete:
        seen.interleavings = _ways(following, hash(first.key()))
    return seen


def _way(came: dict[int, tuple[int, Move] | None], here: int) -> list[Move]:
    """The moves that led to a state first."""
    way: list[Move] = []
    while (before := came[here]) is not None:
        here, move = before
        way.append(move)
    return way[::-1]


def _ways(following: dict[int, list[int]], first: int) -> int:
    """How many ways there are to an end; raises `Broken` for a circle, which might never end."""
    ways: dict[int, int] = {}
    path: list[tuple[int, bool]] = [(first, False)]
    open_: set[int] = set()
    while path:
        here, back = path.pop()
        if back:
            open_.discard(here)
            ways[here] = sum(ways[one] for one in following[here]) or 1
        elif here not in ways:
            if here in open_:
                raise Broken("goes round in a circle")
            open_.add(here)
            path.append((here, True))
            path.extend((one, False) for one in following[here] if one not in ways)
    return ways[first]


def _share(work: tuple[int, int, int, Scope]) -> tuple[int, list[Counterexample]]:
    first, interleavings, stride, scope = work
    found = (walk(seed, scope=scope) for seed in range(first, first + interleavings, stride))
    broken = [one for one in found if isinstance(one, Counterexample)]
    return len(range(first, first + interleavings, stride)), broken


def broken_walks(
    *, interleavings: int, first: int = 0, scope: Scope = SCOPE
) -> tuple[int, list[Counterexample]]:
    """Walk these seeds on all processors; returns how many there were, and which went wrong."""
    workers = os.cpu_count() or 1
    shares = [(first + k, interleavings - k, workers, scope) for k in range(workers)]
    # Started anew, not forked: whoever calls may hold connections and threads.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        done = list(pool.map(_share, shares))
    return sum(count for count, _ in done), [one for _, found in done for one in found]


def score(*, interleavings: int = 1_000_000, first: int = 0) -> tuple[int, int]:
    """For the table of figures: how many interleavings of the model, and how many broke a promise.

    Those that did are printed, with their seeds.

    A broken promise is a resurrection or anything else that `promises` forbids. About 3 ms each on
    one processor, shared by all of them. What the real services did stands in `machine.Schedules`:
    `count`, `steps` and `completed`.
    """
    count, broken = broken_walks(interleavings=interleavings, first=first)
    for one in broken:
        print(one, file=sys.stderr)
    return count, len(broken)
