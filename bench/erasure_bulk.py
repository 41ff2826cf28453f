"""What it costs that an erasure is proven: a batch of people beside the same statements alone."""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

from joserfc.jwk import ECKey

from bench.erasure_people import remember
from bench.erasure_platform import WIRED, make_database
from bench.figures import Figure, Goal, Ground, Measure, beside
from bench.references import erasure_sql
from chassis import erasure
from chassis.catalogue import Catalogue, Fate
from chassis.db import Database
from chassis.db import engine as db_engine
from chassis.erasure import Eraser
from chassis.evidence import import_key
from chassis.service import collect_rarely
from chassis.storage import Storage
from tests.erasure.shelf import a_command

BATCH = 500
_COMPANIES = "SELECT id FROM company WHERE owner_id = ANY($1)"
# What the rule about companies does for owners who have no heir.
_SHARED = {
    "last_owner": (
        f"DELETE FROM membership WHERE company_id IN ({_COMPANIES})",
        f"DELETE FROM attachment WHERE company_id IN ({_COMPANIES})",
        "DELETE FROM company WHERE owner_id = ANY($1)",
    )
}


@dataclass(kw_only=True)
class _Participant:
    """One service's database, and how the service forgets."""

    url: str
    db: Database
    eraser: Eraser
    folder: Path
    files: list[str] = field(default_factory=list)
    """Of those who were remembered last."""

    async def populate(self) -> list[UUID]:
        """A batch of people with rows and files."""
        people = [uuid4() for _ in range(BATCH)]
        engine = db_engine(self.url)
        async with engine.begin() as connection:
            self.files = await remember(connection, self.eraser.catalogue, people)
        await engine.dispose()
        for key in self.files:
            await self.eraser.storage.put(key, b"portrait")
        return people

    async def proven(self) -> float:
        """Seconds, with evidence, residual check, applied row and acknowledgement."""
        people = await self.populate()
        command = a_command(*people)
        began = time.perf_counter()
        async with self.db.transaction() as session:
            trouble = await erasure.apply(session, command, self.eraser)
        took = time.perf_counter() - began
        if trouble is not None:
            raise trouble
        return took

    async def bare(self) -> float:
        """Seconds of the statements alone."""
        people = await self.populate()
        return await erasure_sql.forget(
            self.url,
            statements=statements(self.eraser.catalogue),
            people=people,
            files=[self.folder / key for key in self.files],
        )


def statements(catalogue: Catalogue) -> list[str]:
    """What a person who knows the schema would write: in the order of the product."""
    found = [
        one
        for rule in sorted({e.declared.rule for e in catalogue.subjects if e.declared.rule})
        for one in _SHARED[rule]
    ]
    for entry in catalogue.subjects:
        table, column = f'"{entry.table.name}"', f'"{entry.column.name}"'
        match entry.declared.fate:
            case Fate.DELETE:
                found.append(f"DELETE FROM {table} WHERE {column} = ANY($1)")
            case Fate.DETACH:
                nulls = ", ".join(f'"{c.name}" = NULL' for c in (entry.column, *entry.personal))
                found.append(f"UPDATE {table} SET {nulls} WHERE {column} = ANY($1)")
    return found


async def bulk(ground: Ground) -> Sequence[Figure]:
    """Each service alone, and all of them together."""
    collect_rarely()  # as a worker does
    names = list(WIRED)
    rounds: dict[str, dict[str, list[float]]] = {
        name: {"measured": [], "reference": []} for name in names
    }
    for name in names:
        one = await _participant(ground, name)
        try:
            await one.proven()
            await one.bare()
            for number in range(ground.rounds):
                sides = [("measured", one.proven), ("reference", one.bare)]
                for side, measure in sides[:: 1 if number % 2 else -1]:
                    rounds[name][side].append(await measure())
        finally:
            await one.db.dispose()
    together = {
        side: [sum(times) for times in zip(*(rounds[name][side] for name in names), strict=True)]
        for side in ("measured", "reference")
    }
    return [
        _row("all five", together, goal=Goal(of="ratio", at_least=0.6)),
        *(_row(name, rounds[name], goal=Goal(of="ratio", at_least=0.6)) for name in names),
    ]


def _row(who: str, seconds: Mapping[str, Sequence[float]], *, goal: Goal) -> Figure:
    return beside(
        name=f"bulk erasure with evidence, batches of {BATCH}, {who}",
        unit="people/s",
        reference_name="the same statements alone",
        rounds={side: [BATCH / one for one in taken] for side, taken in seconds.items()},
        goal=goal,
    )


async def _participant(ground: Ground, name: str) -> _Participant:
    url = await make_database(ground.servers, f"b{secrets.token_hex(4)}_{name}", name)
    folder = ground.folder / f"files-{secrets.token_hex(4)}"
    wired = WIRED[name]
    return _Participant(
        url=url,
        db=Database(url, service=name),
        eraser=Eraser(
            catalogue=wired.catalogue,
            storage=Storage(folder.as_uri()),
            key=import_key(ECKey.generate_key("P-256").as_pem(private=True)),
            rules=wired.rules,
        ),
        folder=folder,
    )


FIGURES: Sequence[Measure] = (bulk,)
