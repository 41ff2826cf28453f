"""Mutants of the running database: what a migration, or a hand at the console, might weaken.

Each is made in the live catalogue, in a transaction in which the service then gets its erase command. It
must not acknowledge: the comparison with the declarations comes first.
"""

from collections.abc import Iterator
from functools import partial

from chassis import erasure
from chassis.catalogue import DETACHED, TOMBSTONE, Fate, Personal, SubjectColumn
from chassis.live_schema import Fact, SchemaMismatchError
from tests.mutants.desk import Desk
from tests.mutants.kinds import Catch, Caught, Mutant

TRIGGER = (
    "CREATE FUNCTION mutant() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
    ' CREATE TRIGGER mutant BEFORE {event} ON "{table}" FOR EACH ROW EXECUTE FUNCTION mutant()'
)

ON_KEY = {
    "foreign key dropped": "",
    "foreign key moved to the wrong column": (
        'ADD CONSTRAINT "{key}" FOREIGN KEY ({column}) REFERENCES data_subject ({wrong})'
    ),
    "foreign key not validated": (
        'ADD CONSTRAINT "{key}" FOREIGN KEY ({column}) REFERENCES data_subject ({right}) NOT VALID'
    ),
    "foreign key that lets go": (
        'ADD CONSTRAINT "{key}" FOREIGN KEY ({column}) REFERENCES data_subject ({right})'
        " ON UPDATE SET NULL"
    ),
    "foreign key that waits": (
        'ADD CONSTRAINT "{key}" FOREIGN KEY ({column}) REFERENCES data_subject ({right})'
        " DEFERRABLE INITIALLY DEFERRED"
    ),
    "foreign key of somebody else's rows": (
        'ADD CONSTRAINT "{key}" FOREIGN KEY ({column}) REFERENCES mutant (id)'
    ),
}
ON_TABLE = {
    "triggers disabled": 'ALTER TABLE "{table}" DISABLE TRIGGER ALL',
    "a trigger that discards the delete": TRIGGER.replace("{event}", "DELETE"),
    "a trigger that discards the update": TRIGGER.replace("{event}", "UPDATE"),
    "a rule that does something else": (
        'CREATE RULE mutant AS ON DELETE TO "{table}" DO INSTEAD NOTHING'
    ),
    "row security": 'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY',
    "a column that nobody declared": 'ALTER TABLE "{table}" ADD COLUMN nickname text',
    "a copy of it in another schema": (
        'CREATE SCHEMA attic; CREATE TABLE attic."{table}" (LIKE public."{table}" INCLUDING ALL)'
    ),
    "a constraint that was not validated": (
        'ALTER TABLE "{table}" ADD CONSTRAINT mutant CHECK (true) NOT VALID'
    ),
    "a table that inherits": 'CREATE TABLE mutant () INHERITS ("{table}")',
}
ON_COLUMN = {
    "comment that says something else": (
        "COMMENT ON COLUMN \"{table}\".{column} IS 'not personal: a mutant says so'"
    ),
    "column gone": 'ALTER TABLE "{table}" DROP COLUMN {column} CASCADE',
}
ON_DATABASE = {
    "a table that nobody declared": "CREATE TABLE mutant (words text)",
    "a copy in another schema": "CREATE SCHEMA attic; CREATE TABLE attic.mutant (words text)",
    "a materialized view": "CREATE MATERIALIZED VIEW mutant AS SELECT 1 AS one",
    "a large object": "SELECT lo_from_bytea(0, 'mutant')",
    "constraints that sleep": "SET LOCAL session_replication_role = replica",
    "a tombstone that does not let go": (
        "ALTER TABLE data_subject ALTER COLUMN live_id DROP EXPRESSION"
    ),
}


KINDS = {*ON_KEY, *ON_TABLE, *ON_COLUMN, *ON_DATABASE, "check dropped", "check that says nothing"}


def _checks(entry: SubjectColumn) -> Iterator[tuple[str, str]]:
    """A kind of mutant of the CHECK that empties a detached row, with what would stand in its place."""
    column, others = entry.column.name, [one.name for one in entry.personal]
    if entry.declared.fate is not Fate.DETACH or not others:
        return
    yield "check dropped", ""
    yield "check that says nothing", "true"
    for left_out in others:
        gone = " AND ".join(f"{one} IS NULL" for one in others if one != left_out)
        yield f"check without {left_out}", f"{column} IS NOT NULL OR ({gone or 'true'})"


def mutants(desk: Desk) -> Iterator[Mutant]:
    """All of one service."""
    make = partial(Mutant, service=desk.name)
    for kind in ON_DATABASE:
        yield make(kind, target="the database")
    for table in (TOMBSTONE, *desk.catalogue.tables()):
        for kind in ON_TABLE:
            yield make(kind, target=table)
    for entry in desk.catalogue.subjects:
        where = f"{entry.table.name}.{entry.column.name}"
        for kind in ON_KEY:
            yield make(kind, target=where)
        for kind, _ in _checks(entry):
            yield make(kind, target=where)
    for table_, column, declared in desk.catalogue.columns():
        if isinstance(declared, Personal):
            for kind in ON_COLUMN:
                yield make(kind, target=f"{table_.name}.{column.name}")


def sql(mutant: Mutant, desk: Desk) -> str:
    """The statements that make this one."""
    table, _, column = mutant.target.partition(".")
    if mutant.kind in ON_DATABASE:
        return ON_DATABASE[mutant.kind]
    if mutant.kind in ON_TABLE:
        return ON_TABLE[mutant.kind].format(table=table)
    if mutant.kind in ON_COLUMN:
        return ON_COLUMN[mutant.kind].format(table=table, column=column)
    [entry] = [
        e for e in desk.catalogue.subjects if (e.table.name, e.column.name) == (table, column)
    ]
    if mutant.kind.startswith("check"):
        name = f"ck_{table}_{column}{DETACHED}"
        instead = dict(_checks(entry))[mutant.kind]
        add = f', ADD CONSTRAINT "{name}" CHECK ({instead})' if instead else ""
        return f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}"{add}'
    keep = entry.declared.fate is Fate.KEEP
    key = _key(desk.facts, table, column)
    add = ON_KEY[mutant.kind].format(
        key=key, column=column, right="id" if keep else "live_id", wrong="live_id" if keep else "id"
    )
    first = ""
    if "REFERENCES mutant" in add:
        first = (
            "CREATE TABLE mutant (id uuid PRIMARY KEY);"
            f' INSERT INTO mutant SELECT DISTINCT {column} FROM "{table}" WHERE {column} IS NOT NULL;'
        )
    return f'{first} ALTER TABLE "{table}" DROP CONSTRAINT "{key}"{", " + add if add else ""}'


def _key(facts: list[Fact], table: str, column: str) -> str:
    """The name of the foreign key that holds the column to the tombstone."""
    return next(
        fact.name
        for fact in facts
        if (fact.kind, fact.relation) == ("constraint", table)
        and fact.detail.startswith(f"FOREIGN KEY ({column}) REFERENCES {TOMBSTONE}(")
    )


async def judge(mutant: Mutant, desk: Desk) -> Caught | None:
    """What the service does with its erase command."""
    async with desk.trial(sql(mutant, desk)) as session:
        try:
            await erasure.apply(session, desk.command, desk.eraser)
        except SchemaMismatchError as error:
            return Caught(Catch.START, error.differences[0])
    return None


def test(mutant: Mutant) -> str:
    """The test that goes red when a migration does this."""
    return (
        "tests/erasure/test_live_schema.py"
        f"::test_a_service_as_migrated_is_a_service_as_declared[{mutant.service}]"
    )
