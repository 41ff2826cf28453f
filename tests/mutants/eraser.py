"""Mutants of the erasure: a statement that somebody forgot, a trigger that eats one, a file that stays.

Declarations and schema are in order here, so that only what happens can tell: PostgreSQL refuses, the
erasure looks at what it did, or the tests find what is left. Each runs on a person with rows everywhere,
in a transaction that is rolled back.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import erasure, erasure_rows
from chassis.catalogue import KEY, TOMBSTONE, Catalogue, Fate, SubjectColumn
from chassis.db import violated_constraint
from chassis.erasure import Eraser, FilesLeftError, RowsLeftError, TombstoneRefusedError
from chassis.erasure_rows import Tallies
from chassis.storage import Storage
from tests import rows
from tests.erasure import left
from tests.mutants.desk import Desk
from tests.mutants.kinds import Catch, Caught, Mutant, changed
from tests.mutants.schema import TRIGGER

STATEMENT = "statement left out"
COLUMN = "column left out of the detaching"
TALLY = "rows not counted"
RULE = "rule that does nothing"
FILE = "file left out"
DEAF = "storage that keeps the file"
EATEN = "statement eaten by a trigger, unseen"
TOMBSTONES = {
    "tombstone not set": TRIGGER.format(event="UPDATE", table=TOMBSTONE),
    "tombstone taken away again": TRIGGER.format(event="UPDATE", table=TOMBSTONE).replace(
        "RETURN NULL", "NEW.erased_at := NULL; RETURN NEW"
    ),
    "tombstone that does not let go": (
        "ALTER TABLE data_subject ALTER COLUMN live_id DROP EXPRESSION"
    ),
}
KINDS = {STATEMENT, COLUMN, TALLY, RULE, FILE, DEAF, EATEN, *TOMBSTONES}
EVENTS = {Fate.DELETE: "DELETE", Fate.SHARED: "DELETE", Fate.DETACH: "UPDATE"}


def mutants(catalogue: Catalogue) -> Iterator[Mutant]:
    """All of one service."""
    make = partial(Mutant, service=catalogue.service)
    for kind in TOMBSTONES:
        yield make(kind, target=TOMBSTONE)
    for entry in catalogue.subjects:
        where, fate = f"{entry.table.name}.{entry.column.name}", entry.declared.fate
        if fate is not Fate.SHARED:
            yield make(TALLY, target=where)
        if fate in (Fate.DELETE, Fate.DETACH):
            yield make(STATEMENT, target=where)
        if fate in EVENTS:
            yield make(EATEN, target=where)
        if fate is Fate.DETACH and entry.personal:
            for column in (entry.column, *entry.personal):
                yield make(COLUMN, target=f"{where} {column.name}")
        for column in entry.personal:
            if column.info[KEY].file:
                for kind in (FILE, DEAF):
                    yield make(kind, target=f"{entry.table.name}.{column.name}")
    for rule in sorted({e.declared.rule for e in catalogue.subjects if e.declared.rule}):
        yield make(RULE, target=rule)


def spoiling(mutant: Mutant, catalogue: Catalogue) -> str:
    """What it does to the database; nothing for most."""
    if mutant.kind == EATEN:
        table = mutant.target.partition(".")[0]
        [event] = {EVENTS[e.declared.fate] for e in _named(mutant, catalogue)}
        return TRIGGER.format(event=event, table=table)
    return TOMBSTONES.get(mutant.kind, "")


def _named(mutant: Mutant, catalogue: Catalogue) -> list[SubjectColumn]:
    where = mutant.target.partition(" ")[0]
    return [e for e in catalogue.subjects if f"{e.table.name}.{e.column.name}" == where]


def _is(entry: SubjectColumn, mutant: Mutant) -> bool:
    return f"{entry.table.name}.{entry.column.name}" == mutant.target.partition(" ")[0]


@contextmanager
def made(mutant: Mutant) -> Iterator[None]:
    """The erasure is wrong inside the block, as if its code were."""
    with PATCHES.get(mutant.kind, lambda _: _nothing())(mutant):
        yield


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _statement_left_out(mutant: Mutant) -> AbstractContextManager[None]:
    waves = erasure_rows.waves

    def without(catalogue: Catalogue) -> list[list[SubjectColumn]]:
        left = [[e for e in wave if not _is(e, mutant)] for wave in waves(catalogue)]
        return [wave for wave in left if wave]

    return changed(erasure_rows, "waves", without)


def _not_counted(mutant: Mutant) -> AbstractContextManager[None]:
    fall = erasure_rows.fall

    async def silent(
        session: AsyncSession, wave: Sequence[SubjectColumn], *, tallies: Tallies, **more: Any
    ) -> None:
        named = [entry.table.name for entry in wave if _is(entry, mutant)]
        told = {
            (person, table): replace(of[table], kept=list(of[table].kept))
            for person, of in tallies.items()
            for table in named
        }
        await fall(session, wave, tallies=tallies, **more)
        for (person, table), tally in told.items():
            tallies[person][table] = tally

    return changed(erasure_rows, "fall", silent)


def _column_left_out(mutant: Mutant) -> AbstractContextManager[None]:
    detached, column = erasure_rows._detached, mutant.target.partition(" ")[2]

    def forgetful(entry: SubjectColumn, name: str) -> str:
        rows = detached(entry, name)
        if not _is(entry, mutant):
            return rows
        head, middle, tail = rows.partition(" SET ")
        nulls, end, rest = tail.partition(f" FROM {name}")
        nulls = ", ".join(one for one in nulls.split(", ") if one != f'"{column}" = NULL')
        return head + middle + nulls + end + rest

    return changed(erasure_rows, "_ROWS", {**erasure_rows._ROWS, Fate.DETACH: forgetful})


def _rule_does_nothing(mutant: Mutant) -> AbstractContextManager[None]:
    empty = erasure._empty

    async def nothing(*_: object) -> None:
        """A rule that somebody meant to write later."""

    async def idle(session: AsyncSession, people: Sequence[UUID], eraser: Eraser) -> Tallies:
        rules = {**eraser.rules, mutant.target: nothing}
        return await empty(session, people, replace(eraser, rules=rules))

    return changed(erasure, "_empty", idle)


def _file_left_out(mutant: Mutant) -> AbstractContextManager[None]:
    files = erasure_rows._files

    def forgetful(entry: SubjectColumn) -> str:
        kept = tuple(c for c in entry.personal if f"{entry.table.name}.{c.name}" != mutant.target)
        return files(replace(entry, personal=kept))

    return changed(erasure_rows, "_files", forgetful)


def _deaf(_: Mutant) -> AbstractContextManager[None]:
    async def delete(self: Storage, *keys: str) -> None:
        """Says yes: the storage keeps versions, or somebody moved the deletion behind the commit."""

    return changed(Storage, "delete", delete)


PATCHES: dict[str, Callable[[Mutant], AbstractContextManager[None]]] = {
    STATEMENT: _statement_left_out,
    TALLY: _not_counted,
    COLUMN: _column_left_out,
    RULE: _rule_does_nothing,
    FILE: _file_left_out,
    DEAF: _deaf,
}


async def judge(mutant: Mutant | None, desk: Desk, before: rows.Dump | None) -> Caught | None:
    """What stops this erasure; without a mutant, what would stop one that is in order.

    `before`: what was there, to hold the counts against; without, nobody counts.
    """
    await desk.put_files()
    spoilt = spoiling(mutant, desk.catalogue) if mutant else ""
    async with desk.trial(*filter(None, [spoilt])) as session:
        try:
            with made(mutant) if mutant else _nothing():
                tallies = await erasure.erase(session, [desk.person], desk.eraser)
        except RowsLeftError as error:
            return Caught(Catch.DATABASE, f"refuses: {error}")
        except (TombstoneRefusedError, FilesLeftError) as error:
            return Caught(Catch.RUN_TIME, type(error).__name__)
        except DBAPIError as error:
            return Caught(Catch.DATABASE, f"refuses: {violated_constraint(error)}")
        everything = await rows.everything(await session.connection())
    found = left.behind(desk.filling, desk.shared, everything=everything, files=desk.files())
    if before is not None:
        found += left.miscounted(before, desk.catalogue, desk.person, tallies[desk.person])
    return Caught(Catch.TEST, found[0]) if found else None


def test(mutant: Mutant, caught: Caught | None) -> str:
    """The test that goes red with this one."""
    completeness = "tests/erasure/test_completeness.py"
    if mutant.kind == DEAF:
        return "tests/erasure/test_files.py::test_files_are_gone_before_the_acknowledging_commit"
    if caught and caught.words.endswith("were there"):
        name = "test_people_of_one_batch_are_counted_each_for_themselves"
    elif mutant.kind == FILE:
        name = "test_every_personal_column_is_filled_before_and_found_nowhere_after"
    else:
        name = "test_nothing_of_anybody_else_changes_not_even_beside_them_in_one_row"
    return f"{completeness}::{name}[{mutant.service}]"
