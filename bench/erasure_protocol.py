"""Erasures through the whole platform, as processes: how soon, how many, after a crash, beside others."""

import asyncio
import time
from collections.abc import Sequence
from statistics import median
from uuid import UUID

from bench.erasure_latency import forget, one_after_the_other, settled, warm
from bench.erasure_many import ask, at_once
from bench.erasure_platform import Platform, platform
from bench.figures import Figure, Goal, Ground, Measure, Side, in_turns
from chassis.ids import new_id

ONE_BY_ONE, MANY = 100, 1_000
POINTS = {
    "directory": (
        "erasure.after_locks",
        "erasure.after_rows",
        "erasure.after_files",
        "commands.before_ack",
    ),
    "privacy": (
        "privacy.after_reserve",
        "privacy.after_ledger_copy",
        "privacy.after_send",
        "privacy.after_complete",
    ),
}
READS, PER_SECOND = 1_000, 50
"""Ordinary requests in each phase, sent on time whatever became of those before."""
BURST, EVERY_S = 10, 2.0
"""The pace of an erasure that others should not feel: so many people, so often."""


async def in_one_process(ground: Ground) -> Sequence[Figure]:
    """API and worker of a service together, as `make run` has them."""
    async with platform(servers=ground.servers, folder=ground.folder, apart=False) as running:
        await warm(running)
        return await _figures(running, ground, "one process")


async def after_a_death(ground: Ground) -> Sequence[Figure]:
    """As `make run` has them, one process dying once on the way."""
    async with platform(servers=ground.servers, folder=ground.folder, apart=False) as running:
        await warm(running)
        return await _crashes(running, ground)


async def as_processes(ground: Ground) -> Sequence[Figure]:
    """API and worker apart, as in production."""
    async with platform(servers=ground.servers, folder=ground.folder, apart=True) as running:
        await warm(running)
        return [*await _figures(running, ground, "apart"), await _foreground(running, ground)]


async def _figures(running: Platform, ground: Ground, layout: str) -> list[Figure]:
    singles = await _people(running, ground.size(ONE_BY_ONE))
    seconds = await one_after_the_other(running, singles)
    await settled(running)
    rates = []
    for _ in range(ground.rounds):
        rates.append(await at_once(running, await _people(running, ground.size(MANY))))
        await settled(running)
    name = "request accepted → certificate, five services and a partner"
    return [
        Figure(
            name=f"{name}, p50, {layout}",
            unit="ms",
            measured=median(seconds) * 1e3,
            reference=1_700,
            reference_name="the open-source leader, idle, four databases",
            published=True,
            goal=Goal(of="measured", at_most=150),
            rounds={"measured": [one * 1e3 for one in seconds]},
        ),
        Figure(
            name=f"{name}, p99, {layout}",
            unit="ms",
            measured=percentile(seconds, 0.99) * 1e3,
            goal=Goal(of="measured", at_most=1_000),
            details={"people": len(singles)},
        ),
        Figure(
            name=f"erasures in flight, each with evidence and certificate, {layout}",
            unit="/s",
            measured=median(rates),
            reference=0.6,
            reference_name="the open-source leader",
            published=True,
            goal=Goal(of="measured", at_least=200),
            rounds={"measured": rates},
            details={"people": ground.size(MANY), "door": "privacy.events"},
        ),
    ]


async def _crashes(running: Platform, ground: Ground) -> list[Figure]:
    """A participant, or privacy, dies once on the way; it is started again as by `make run`."""
    times = max(1, ground.rounds // 2)
    points = [(name, point) for name, found in POINTS.items() for point in found] * times
    if ground.quick:
        points = points[1::4]
    seconds = {}
    for number, (name, point) in enumerate(points):
        [person] = await _people(running, 1)
        died = await _arm(running, name, point)
        seconds[f"{point} {number}"] = await forget(running, person)
        if running.child(name).process is died:
            raise RuntimeError(f"{name} did not die at {point}")
    return [
        Figure(
            name="request accepted → certificate, one process killed on the way, p99",
            unit="s",
            measured=percentile(list(seconds.values()), 0.99),
            reference=253,
            reference_name="the open-source leader, worker killed: 253 to 288",
            published=True,
            goal=Goal(of="measured", at_most=15),
            rounds={"measured": list(seconds.values())},
            details={"p50": median(seconds.values()), "points": list(seconds)},
        )
    ]


async def _arm(running: Platform, name: str, point: str) -> object:
    """Start a service again so that it dies at this point, once."""
    child = running.child(name)
    usual, before = child.environment, child.process
    child.environment = {**usual, "CCIB_CRASH_AT": point}
    if before is None:
        raise RuntimeError(f"{name} does not run")
    before.terminate()
    while child.process is before or child.process is None:
        await asyncio.sleep(0.05)
    child.environment = usual
    while not await asyncio.to_thread(child.answers):
        await asyncio.sleep(0.05)
    child.failures = 0  # it was our doing: the supervisor has not seen it fail
    return child.process


async def _foreground(running: Platform, ground: Ground) -> Figure:
    """Members read in the directory while a bulk erasure goes on, and while none does."""
    [reader] = await _people(running, 1)
    reads = ground.size(READS)
    headers = running.token(reader)

    async def read() -> float:
        began = time.perf_counter()
        answer = await running.http.get(
            f"{running.ports.url('directory')}/api/directory/companies", headers=headers
        )
        answer.raise_for_status()
        return time.perf_counter() - began

    async def quiet() -> float:
        began = time.perf_counter()

        async def on_time(number: int) -> float:
            await asyncio.sleep(began + number / PER_SECOND - time.perf_counter())
            return await read()

        return 1e3 * percentile(await asyncio.gather(*map(on_time, range(reads))), 0.99)

    async def beside_erasures() -> float:
        bursts = [
            await _people(running, BURST) for _ in range(int(reads / PER_SECOND / EVERY_S) or 1)
        ]

        async def go_on() -> None:
            for people in bursts:
                await asyncio.gather(ask(running, people), asyncio.sleep(EVERY_S))

        going_on = asyncio.create_task(go_on())
        found = await quiet()
        await going_on
        await settled(running)
        return found

    sides: dict[str, Side] = {"measured": beside_erasures, "reference": quiet}
    await quiet()
    rounds = await in_turns(ground.rounds, **sides)
    return Figure(
        name="p99 of ordinary requests during a paced bulk erasure",
        unit="ms",
        measured=median(rounds["measured"]),
        reference=median(rounds["reference"]),
        reference_name="the same requests alone",
        goal=Goal(of="ratio", at_most=1.15),
        rounds=rounds,
        details={
            "pace": f"{BURST} people every {EVERY_S:g} s",
            "requests": f"{PER_SECOND}/s, GET /api/directory/companies",
        },
    )


async def _people(running: Platform, count: int) -> list[UUID]:
    people = [new_id() for _ in range(count)]
    await running.populate(people)
    return people


def percentile(values: Sequence[float], part: float) -> float:
    """The value that this part of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


FIGURES: Sequence[Measure] = (in_one_process, after_a_death, as_processes)
