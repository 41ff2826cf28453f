"""What the doctor says: one sentence on what is wrong, one on what to do."""

from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any


class Weight(IntEnum):
    """How bad it is; the worst come first."""

    BROKEN = 0
    """Somebody is not served, or an erasure does not move, until a person acts."""
    ATTENTION = 1
    """It will be broken if nobody looks."""
    NOTICE = 2
    """Good to know; also what could not be looked at."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is not as it should be."""

    weight: Weight
    where: str
    """A service, `broker`, `gateway`, `machine`, or the name of a partner."""
    what: str
    do: str

    def as_data(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "weight": self.weight.name.lower()}


def broken(where: str, what: str, do: str) -> Finding:
    return Finding(weight=Weight.BROKEN, where=where, what=what, do=do)


def attention(where: str, what: str, do: str) -> Finding:
    return Finding(weight=Weight.ATTENTION, where=where, what=what, do=do)


def notice(where: str, what: str, do: str) -> Finding:
    return Finding(weight=Weight.NOTICE, where=where, what=what, do=do)


def ago(seconds: float) -> str:
    """A length of time as people say it."""
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def counted(count: int, one: str, many: str) -> str:
    """`1 event`, `1,200 events`."""
    return f"{count:,} {one if count == 1 else many}"
