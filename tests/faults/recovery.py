"""How soon the full rate of effects is back after a fault that interrupts it.

`recoveries` is what a benchmark calls; it needs a stand and a run of its own, whose servers it may stop.
"""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deploy.local.binaries import PrivateServer
from tests.bus import BusStand
from tests.faults.load import Run
from tests.faults.mix import Broker, Fault, world
from tests.faults.system import Processes

INTERRUPTING = (
    "kill relay",
    "kill consumer",
    "terminate",
    "reset",
    "freeze",
    "cut",
    "full queue",
    "alarm",
    "database restart",
    "broker restart",
)
"""Faults that stop the flow. A process is started again at once: its start is part of the time."""

_WARM_S, _BEFORE_S, _LONGEST_S, _FULL = 2.0, 4.0, 30.0, 0.9


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """What one fault cost."""

    fault: str
    before: float
    """Effects per second during 4 s before it."""
    after: float
    """Effects per second during the first full second at 90 % of that or more, after its end."""
    seconds: float
    """From the end of the fault to the beginning of that second; infinite when there was none."""


async def recoveries(
    bus: BusStand,
    run: Run,
    system: Callable[[], Processes],
    *,
    broker: Broker,
    database: PrivateServer,
    kinds: Sequence[str] = INTERRUPTING,
) -> list[Recovery]:
    """Inject each fault once, alone, into a steady load, and measure; at the end the oracle judges.

    The load is what two writer processes commit, about 100 events a second, so the rate before and
    the rate to come back to are the same, and what piled up meanwhile comes on top.
    """
    spans: list[tuple[str, float, float]] = []
    async with world(bus, run, system, broker=broker, database=database) as made:
        await bus.until("SELECT count(*) > 50 FROM inbox")
        for number, kind in enumerate(kinds):
            await asyncio.sleep(_WARM_S + _BEFORE_S)
            begun = time.time()
            await made.inject(Fault(0, kind, number, 2.0))
            ended = time.time()
            spans.append((kind, begun, ended))
            while time.time() < ended + _LONGEST_S:
                await asyncio.sleep(1)
                at = [one for _, one in await run.consuming.effects()]
                if _measure(kind, begun, ended, at).seconds < _LONGEST_S:
                    break
        await made.leave("writer")
        await run.holds()
    at = [one for _, one in await run.consuming.effects()]
    return [_measure(kind, begun, ended, at) for kind, begun, ended in spans]


def _measure(kind: str, begun: float, ended: float, at: Sequence[float]) -> Recovery:
    """`at`: the instant of each effect, in any order."""
    instants = sorted(at)

    def rate(since: float, seconds: float) -> float:
        return (bisect_left(instants, since + seconds) - bisect_left(instants, since)) / seconds

    before = rate(begun - _BEFORE_S, _BEFORE_S)
    for step in range(int(_LONGEST_S * 10)):
        since = ended + step / 10
        if since + 1 <= time.time() and rate(since, 1) >= _FULL * before:
            return Recovery(fault=kind, before=before, after=rate(since, 1), seconds=step / 10)
    return Recovery(fault=kind, before=before, after=0, seconds=float("inf"))
