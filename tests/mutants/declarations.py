"""Mutants of the declarations: what somebody might forget, or say wrongly, in `models.py`.

Each is made twice where it can be: alone, as a slip, and together with its migration, as a mistake that
somebody means. A slip contradicts itself or the database; a mistake is for people to read.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKey, MetaData, Table

from chassis import live_schema
from chassis.catalogue import (
    DETACHED,
    KEY,
    TOMBSTONE,
    Catalogue,
    CatalogueError,
    Fate,
    Hold,
    NotPersonal,
    Personal,
    Subject,
    SubjectColumn,
    not_personal,
    seal,
    subject,
)
from chassis.tables import NAMING
from tests.erasure import reviewed
from tests.mutants.kinds import Catch, Caught, Mutant, changed

MIGRATED = ", with its migration"
HOLD = Hold(rule="mutant", source="aucune", days=1)

Change = Callable[[MetaData], AbstractContextManager[None]]
"""Makes the declarations wrong inside a block."""


def draft(catalogue: Catalogue) -> MetaData:
    """The tables as a developer writes them: without what `seal` adds."""
    copy = MetaData(naming_convention=NAMING)
    for table in catalogue.metadata.sorted_tables:
        made = table.to_metadata(copy)
        for check in [c for c in made.constraints if isinstance(c, CheckConstraint)]:
            if str(check.name).endswith(DETACHED):
                made.constraints.discard(check)
    return copy


@contextmanager
def _declared(column: Column[Any], **said: Any) -> Iterator[None]:
    with changed(column, "info", said["info"]), changed(column, "comment", said["comment"]):
        yield


@contextmanager
def _without(column: Column[Any]) -> Iterator[None]:
    columns = column.table._columns
    before = list(columns.items())
    columns.remove(column)
    try:
        yield
    finally:
        columns._populate_separate_keys(before)


@contextmanager
def _without_table(metadata: MetaData, name: str) -> Iterator[None]:
    table = metadata.tables[name]
    before = dict(metadata.tables)
    metadata.remove(table)
    try:
        yield
    finally:
        for one in list(metadata.tables.values()):
            metadata.remove(one)
        for key, one in before.items():
            metadata._add_table(key, one.schema, one)


@contextmanager
def _pointing(column: Column[Any], *targets: str) -> Iterator[None]:
    keys = column.foreign_keys
    before = set(keys)
    keys.difference_update({k for k in before if k.column.table.name == TOMBSTONE})
    keys.update(ForeignKey(f"{TOMBSTONE}.{target}") for target in targets)
    try:
        yield
    finally:
        keys.clear()
        keys.update(before)


@contextmanager
def _unindexed(column: Column[Any]) -> Iterator[None]:
    indexes = column.table.indexes
    before = set(indexes)
    indexes.difference_update({i for i in before if next(iter(i.columns), None) is column})
    try:
        with changed(column, "unique", None):
            yield
    finally:
        indexes.update(before)


@contextmanager
def _otherwise(column: Column[Any], fate: Fate, *, consistently: bool) -> Iterator[None]:
    """Another fate; consistently: with the hold, the rule and the key that it needs."""
    declared: Subject = column.info[KEY]
    more: dict[str, Any] = {"hold": declared.hold, "rule": declared.rule}
    with ExitStack() as stack:
        if consistently:
            more = {
                "hold": HOLD if fate is Fate.KEEP else None,
                "rule": "mutant" if fate is Fate.SHARED else None,
            }
            target = "id" if fate is Fate.KEEP else "live_id"
            stack.enter_context(_pointing(column, target))
            for one in column.table.columns:
                if fate is Fate.DETACH and isinstance(one.info[KEY], Personal):
                    stack.enter_context(changed(one, "nullable", True))
            if fate is Fate.DETACH:
                stack.enter_context(changed(column, "nullable", True))
        said = subject(fate, declared.purpose, **more)
        stack.enter_context(_declared(column, **said))
        yield


def _altered(column: Column[Any], **values: Any) -> AbstractContextManager[None]:
    """The declaration with other values, the comment as the catalogue would write it."""
    declared = replace(column.info[KEY], **values)
    said: dict[str, Any] = {"info": {KEY: declared}, "comment": column.comment}
    if "file" in values and column.comment:
        said["comment"] = column.comment.removesuffix(" file")
    if isinstance(declared, Subject):
        detail = f" rule={declared.rule}" if declared.rule else ""
        detail = f" hold={declared.hold.rule}" if declared.hold else detail
        said["comment"] = f"data subject: fate={declared.fate}{detail}"
    return _declared(column, **said)


def _found(metadata: MetaData, target: str) -> Column[Any]:
    table, _, column = target.partition(".")
    return metadata.tables[table].columns[column.partition(" ")[0]]


NOTHING = not_personal("a mutant says so")

ON_COLUMN: dict[str, Callable[[Column[Any]], AbstractContextManager[None]]] = {
    "column not declared": lambda c: _declared(c, info={}, comment=c.comment),
    "column left out of the models": _without,
    "column called not personal": lambda c: _declared(c, **NOTHING),
    "keep without a hold": lambda c: _altered(c, hold=None),
    "shared without its rule": lambda c: _altered(c, rule=None),
    "file not declared": lambda c: _altered(c, file=False),
    "secret not declared": lambda c: _altered(c, secret=False),
    "hold without an end": lambda c: _altered(c, hold=replace(c.info[KEY].hold, days=None)),
    "hold ten times as long": lambda c: _altered(
        c, hold=replace(c.info[KEY].hold, days=10 * c.info[KEY].hold.days)
    ),
    "foreign key not declared": _pointing,
    "foreign key to the wrong column": lambda c: _pointing(
        c, "live_id" if c.info[KEY].fate is Fate.KEEP else "id"
    ),
    "subject column not indexed": _unindexed,
    "detached column that cannot be null": lambda c: changed(c, "nullable", False),
}


KINDS = {*ON_COLUMN}


def _kinds_of(
    table: Table, column: Column[Any], entries: dict[Any, SubjectColumn]
) -> Iterator[str]:
    """The kinds of mutants that make sense of this column."""
    match column.info[KEY]:
        case NotPersonal():
            yield "column not declared"
            return
        case Subject() as declared:
            entry = entries[table.name, column.name]
            yield from (
                "foreign key not declared",
                "foreign key to the wrong column",
            )
            if next(iter(table.primary_key.columns)) is not column:
                yield "subject column not indexed"
            if declared.hold:
                yield from ("keep without a hold", "hold ten times as long" + MIGRATED)
                if declared.hold.days is not None:
                    yield "hold without an end" + MIGRATED
            if declared.rule:
                yield "shared without its rule"
            if declared.fate is Fate.DETACH:
                yield "detached column that cannot be null"
            # Nothing falls with it: without the migration this is what the database says, too.
            yield "column called not personal"
            if not entry.personal:
                yield "column called not personal" + MIGRATED
        case Personal() as said:
            if said.file:
                yield from ("file not declared", "file not declared" + MIGRATED)
            if said.secret:
                yield "secret not declared" + MIGRATED
            yield from ("column called not personal", "column called not personal" + MIGRATED)
            if any(
                e.declared.fate is Fate.DETACH and column in e.personal for e in entries.values()
            ):
                yield "detached column that cannot be null"
    yield from ("column not declared", "column left out of the models")


def mutants(catalogue: Catalogue) -> Iterator[Mutant]:
    """All of one service."""
    make = partial(Mutant, service=catalogue.service)
    entries = {(e.table.name, e.column.name): e for e in catalogue.subjects}
    for table in catalogue.metadata.sorted_tables:
        yield make("table not declared", target=table.name)
        for column in table.columns:
            for kind in _kinds_of(table, column, entries):
                yield make(kind, target=f"{table.name}.{column.name}")
    for entry in catalogue.subjects:
        for fate in set(Fate) - {entry.declared.fate}:
            for kind in ("another fate", "another fate" + MIGRATED):
                yield make(kind, target=f"{entry.table.name}.{entry.column.name} {fate}")


def change(mutant: Mutant) -> Change:
    """How to make this one."""
    kind, migrated = mutant.kind.removesuffix(MIGRATED), mutant.kind.endswith(MIGRATED)

    def make(metadata: MetaData) -> AbstractContextManager[None]:
        if kind == "table not declared":
            return _without_table(metadata, mutant.target)
        column = _found(metadata, mutant.target)
        if kind == "another fate":
            fate = Fate(mutant.target.partition(" ")[2])
            return _otherwise(column, fate, consistently=migrated)
        return ON_COLUMN[kind](column)

    return make


@contextmanager
def _sealing(metadata: MetaData) -> Iterator[None]:
    """What `seal` adds to the tables is gone after the block."""
    before = {name: set(table.constraints) for name, table in metadata.tables.items()}
    try:
        yield
    finally:
        for name, table in metadata.tables.items():
            table.constraints.intersection_update(before.get(name, table.constraints))


def judge(
    mutant: Mutant | None, *, service: str, tables: MetaData, facts: list[live_schema.Fact]
) -> Caught | None:
    """What the build says, and the start-up check if the mutant has not its own migration.

    Without a mutant: whether the declarations pass as they are.
    """
    made = change(mutant)(tables) if mutant else nullcontext()
    try:
        with _sealing(tables), made:
            sealed = seal(service=service, metadata=tables)
            migrated = mutant is not None and mutant.kind.endswith(MIGRATED)
            if not migrated:
                live_schema.compare(sealed, facts)
            found = reviewed.differences(sealed) if migrated or mutant is None else []
            if found:
                return Caught(Catch.REVIEW, found[0])
    except CatalogueError as error:
        return Caught(Catch.BUILD, str(error))
    except live_schema.SchemaMismatchError as error:
        return Caught(Catch.START, error.differences[0])
    return None


def test(mutant: Mutant) -> str:
    """The test that goes red with this one."""
    if mutant.kind.endswith(MIGRATED):
        return (
            "tests/erasure/test_reviewed.py"
            f"::test_what_is_said_about_people_was_reviewed[{mutant.service}]"
        )
    return (
        "tests/erasure/test_live_schema.py"
        f"::test_a_service_as_migrated_is_a_service_as_declared[{mutant.service}]"
    )
