"""All mutants, tried, and what became of them."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from zlib import crc32

import structlog.testing

from tests.mutants import declarations, eraser, evidence, guards, queues, returns, schema
from tests.mutants.desk import Desk, desks
from tests.mutants.kinds import Mutant, Result


async def results(found: Mapping[str, Desk], *, every: int = 1) -> list[Result]:
    """Try the mutants of every service on these desks, which are left as they were.

    Each change of a running database costs a transaction of its own: with `every`, only one in so
    many of them is tried, and one of each kind in each service.

    Raises `AssertionError` when a check refuses the system as it is: a false alarm would make every
    mutant look caught.
    """
    with structlog.testing.capture_logs():
        tried = [*await asyncio.gather(*(_of_schema(desk, every=every) for desk in found.values()))]
        tried += [await _of_service(desk) for desk in found.values()]
        async with evidence.court(found) as court:
            tried += [await evidence.run(court), await evidence.run_skipped(court)]
            tried.append(await guards.run(found, court))
        tried.append(queues.run())
    return [result for some in tried for result in some]


async def all_of(postgres_url: str) -> list[Result]:
    """The same, in databases of their own on this server, removed at the end."""
    with tempfile.TemporaryDirectory() as folder:
        async with desks(postgres_url, Path(folder)) as found:
            return await results(found)


async def score(postgres_url: str) -> tuple[int, int]:
    """How many mutants there are, and how many were caught; for the figures."""
    found = await all_of(postgres_url)
    return len(found), sum(result.caught is not None for result in found)


def _share(mutants: Iterable[Mutant], *, of: int) -> Iterator[Mutant]:
    """Every so many of them, by name, and the first of each kind."""
    kinds: set[str] = set()
    for mutant in mutants:
        if mutant.kind not in kinds or crc32(str(mutant).encode()) % of == 0:
            kinds.add(mutant.kind)
            yield mutant


async def _of_schema(desk: Desk, *, every: int) -> list[Result]:
    found = []
    for mutant in _share(schema.mutants(desk), of=every):
        caught = await schema.judge(mutant, desk)
        found.append(Result(mutant, caught, schema.test(mutant)))
    return found


async def _of_service(desk: Desk) -> list[Result]:
    """Its declarations, its erasure, its fence."""
    tables = declarations.draft(desk.catalogue)

    def declared(mutant: Mutant | None) -> Result:
        caught = declarations.judge(mutant, service=desk.name, tables=tables, facts=desk.facts)
        if mutant is None:
            assert caught is None, f"a false alarm: {caught}"
            mutant = Mutant("none", desk.name, "")
        return Result(mutant, caught, declarations.test(mutant))

    declared(None)
    found = [declared(mutant) for mutant in declarations.mutants(desk.catalogue)]
    declared(None)  # what mutants did to the draft is undone
    before = await desk.dump()
    alarm = await eraser.judge(None, desk, before)
    assert alarm is None, f"a false alarm: {alarm}"
    for mutant in eraser.mutants(desk.catalogue):
        caught = await eraser.judge(mutant, desk, before)
        found.append(Result(mutant, caught, eraser.test(mutant, caught)))
    found += await returns.run(desk)
    assert await desk.dump() == before, f"a mutant left a trace in {desk.name}"
    return found


def table(found: Sequence[Result]) -> Iterator[str]:
    """Lines for people: by kind and who caught them, by service, survivors, score."""
    by_kind = Counter((r.mutant.kind, r.caught.by.value if r.caught else "NOBODY") for r in found)
    width = max(len(kind) for kind, _ in by_kind)
    yield f"{'mutants':>7}  {'kind':<{width}}  caught by"
    for (kind, by), count in sorted(by_kind.items()):
        yield f"{count:>7}  {kind:<{width}}  {by}"
    yield ""
    services = Counter(result.mutant.service for result in found)
    yield ", ".join(f"{name} {count}" for name, count in sorted(services.items()))
    catchers = Counter(result.caught.by.value for result in found if result.caught)
    yield "caught by " + ", ".join(f"{by} {count}" for by, count in catchers.most_common())
    survivors = [result for result in found if result.caught is None]
    for result in survivors:
        yield f"SURVIVES  {result.mutant}  (should turn red: {result.test})"
    caught = len(found) - len(survivors)
    yield f"{caught} of {len(found)} mutants caught: {100 * caught / len(found):.2f} %"
