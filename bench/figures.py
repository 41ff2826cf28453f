"""What a figure is, what it is measured on, and how two sides of it are measured in turns."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, Literal

Side = Callable[[], Awaitable[float]]
"""Measures once: does the work and returns the value, in the figure's unit."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What must be reached: by the measured value, or by its ratio to the reference."""

    of: Literal["measured", "ratio"]
    at_least: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        sign, limit = ("≤", self.at_most) if self.at_least is None else ("≥", self.at_least)
        return f"{'ratio ' if self.of == 'ratio' else ''}{sign} {limit:g}"

    def held_by(self, value: float | None) -> bool:
        """Whether a value reaches it; one that could not be measured does not."""
        if value is None:
            return False
        low, high = self.at_least, self.at_most
        return (low is None or value >= low) and (high is None or value <= high)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row of the table.

    `measured` and `reference` are medians over `rounds`, which holds every value by side. Without a
    goal the row is there for information.
    """

    name: str
    unit: str
    measured: float
    reference: float | None = None
    reference_name: str = ""
    published: bool = False
    """The reference is what others have published, not measured here."""
    p99: float | None = None
    """In the same unit: of all that was measured, where `measured` is what is usual."""
    goal: Goal | None = None
    rounds: Mapping[str, Sequence[float]] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    """Whatever explains the value: sizes, percentiles, settings."""

    @property
    def ratio(self) -> float | None:
        """Measured by reference: the median of the rounds' ratios where both took turns.

        The two of a round share the mood of the machine, so that their ratio varies less than either.
        """
        ours, theirs = self.rounds.get("measured", ()), self.rounds.get("reference", ())
        if ours and len(ours) == len(theirs):
            return median(one / other for one, other in zip(ours, theirs, strict=True))
        return self.measured / self.reference if self.reference else None

    @property
    def holds(self) -> bool | None:
        """Whether the goal is held; None without a goal."""
        if self.goal is None:
            return None
        return self.goal.held_by(self.ratio if self.goal.of == "ratio" else self.measured)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What figures are measured on: durable servers of their own, and how long to look."""

    servers: SimpleNamespace
    """`postgres_url`, `amqp_url`, `management_url`: administrators' addresses."""
    folder: Path
    """For files; removed at the end."""
    rounds: int
    quick: bool
    """A smoke test: sizes are a tenth, goals mean nothing."""

    def size(self, full: int) -> int:
        """So many things, or a tenth of them when it must be quick."""
        return max(1, full // 10) if self.quick else full


Measure = Callable[[Ground], Awaitable[Sequence[Figure]]]
"""One measurement, listed in `FIGURES` of its module; it may give several rows."""


async def in_turns(rounds: int, **sides: Side) -> dict[str, list[float]]:
    """Measure each side once per round, each round beginning with another side."""
    values: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds):
        start = number % len(names)
        for name in (*names[start:], *names[:start]):
            values[name].append(await sides[name]())
    return values


def beside(
    *,
    name: str,
    unit: str,
    reference_name: str,
    rounds: Mapping[str, Sequence[float]],
    goal: Goal | None = None,
    **details: Any,
) -> Figure:
    """The figure of two sides called `measured` and `reference`."""
    return Figure(
        name=name,
        unit=unit,
        measured=median(rounds["measured"]),
        reference=median(rounds["reference"]),
        reference_name=reference_name,
        goal=goal,
        rounds=rounds,
        details=details,
    )


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start
