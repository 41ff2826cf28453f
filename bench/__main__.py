"""`make bench`: measure, print one table, and keep the results.

`ONLY=relay,http` measures what has one of the words in its name, `ROUNDS=3` sets how often,
`QUICK=1` only shows that everything can be measured. Such a partial run writes to `.local/bench/`
and leaves the published results alone. Exit code 1: something could not be measured.
"""

import asyncio
import logging
import os
import shutil
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import uvloop

from bench import machine, report
from bench.figures import Figure, Ground, Measure
from chassis import log
from deploy.local.backing import remove_data, servers

GROUPS = (
    "bus",
    "latency",
    "http",
    "site",
    "recovery",
    "erasure_protocol",
    "erasure_bulk",
    "erasure_sweep",
    "erasure_proof",
)
"""Modules of this folder, each with its `FIGURES`, in the order of the table."""

FOLDER = Path(".local/bench")


def main() -> int:
    """Measure what the environment asks for."""
    words = [word for word in os.environ.get("ONLY", "").replace(",", " ").split() if word]
    quick = bool(os.environ.get("QUICK"))
    rounds = int(os.environ.get("ROUNDS") or (1 if quick else 5))
    chosen = {group: _chosen(group, words) for group in GROUPS}
    _log_to_file()
    scratch = FOLDER / "scratch"
    results = FOLDER / "results.json" if words or quick else Path("bench/results.json")
    try:
        with servers(FOLDER, say=_say) as backing:
            found = SimpleNamespace(
                postgres_url=backing.postgres_url,
                amqp_url=backing.amqp_url,
                management_url=backing.management_url,
            )
            shutil.rmtree(scratch, ignore_errors=True)  # of an earlier run that was killed
            scratch.mkdir()
            ground = Ground(servers=found, folder=scratch.absolute(), rounds=rounds, quick=quick)
            about = asyncio.run(machine.described(found))
            groups: dict[str, list[Figure]] = {group: [] for group in GROUPS}
            failures: dict[str, str] = {}
            for group, measures in chosen.items():
                for measure in measures:
                    _say(f"{group}: {measure.__name__}")
                    try:
                        rows = uvloop.run(_measured(measure, ground))  # the loop of production
                        groups[group] += rows
                        for one in rows:
                            ratio = f", ratio {one.ratio:.3g}" if one.ratio is not None else ""
                            _say(f"  {one.name}: {one.measured:.4g} {one.unit}{ratio}")
                    except Exception as error:  # noqa: BLE001 - a row that says so
                        traceback.print_exc()
                        failures[f"{group}.{measure.__name__}"] = f"{type(error).__name__}: {error}"
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        remove_data(FOLDER)
    print(report.table([one for rows in groups.values() for one in rows], failures))
    report.write_results(
        results,
        about={**about, "rounds": rounds, "quick": quick},
        groups=groups,
        failures=failures,
    )
    if not (words or quick):
        report.write_charts(Path("docs/figures"), groups)
    _say(f"all rounds: {results}")
    return 1 if failures else 0


async def _measured(measure: Measure, ground: Ground) -> Sequence[Figure]:
    return await measure(ground)


def _chosen(group: str, words: Sequence[str]) -> list[Measure]:
    measures: Sequence[Measure] = import_module(f"bench.{group}").FIGURES
    return [
        measure
        for measure in measures
        if not words or any(word in f"{group}.{measure.__name__}" for word in words)
    ]


def _log_to_file() -> None:
    """What the code under measurement logs is no part of the table."""
    (FOLDER / "logs").mkdir(parents=True, exist_ok=True)
    log.configure(service="bench")
    logging.getLogger().handlers[:] = [logging.FileHandler(FOLDER / "logs" / "bench.log", mode="w")]


def _say(words: str) -> None:
    print(f"bench: {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
