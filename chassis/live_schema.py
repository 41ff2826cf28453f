"""What the running database really holds, compared with what the service declares.

The comparison reads PostgreSQL's own catalogue: columns with their comments, constraints, triggers,
rules, row-level security. Anything that is there and not declared blocks every acknowledgement; but
what is on its way out (`catalogue.Leaving`) may still be there, as long as it holds nothing.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Select, literal, select, text
from sqlalchemy import column as a_column
from sqlalchemy import table as a_table
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.catalogue import DETACHED, TOMBSTONE, Catalogue, Fate, Leaving


class Fact(NamedTuple):
    """One line of the live catalogue."""

    kind: str
    relation: str
    name: str
    detail: str


class SchemaMismatchError(Exception):
    """The live schema is not the declared one; `differences` says how, one sentence each."""

    def __init__(self, differences: Sequence[str]) -> None:
        super().__init__("; ".join(differences))
        self.differences = tuple(differences)


_FACTS = text(
    """
    WITH relations AS (
        SELECT c.oid, c.relname::text AS relation, c.relrowsecurity
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'm', 'f')
          AND n.nspname NOT IN ('pg_catalog', 'information_schema')
          AND n.nspname NOT LIKE 'pg\\_toast%' AND n.nspname NOT LIKE 'pg\\_temp\\_%'
    )
    SELECT 'column', relation, a.attname::text,
           format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
           || ' -- ' || coalesce(d.description, '')
      FROM relations r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid
      LEFT JOIN pg_catalog.pg_description d ON d.objoid = r.oid AND d.objsubid = a.attnum
       AND d.classoid = 'pg_catalog.pg_class'::regclass
     WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT 'generated', relation, a.attname::text, pg_get_expr(d.adbin, d.adrelid)
      FROM relations r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid
      JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE a.attgenerated <> ''
    UNION ALL
    SELECT 'large object', '', count(*)::text, ''
      FROM pg_catalog.pg_largeobject_metadata HAVING count(*) > 0
    UNION ALL
    SELECT 'constraint', relation, k.conname::text,
           pg_get_constraintdef(k.oid) || CASE WHEN k.convalidated THEN '' ELSE ' not valid' END
      FROM relations r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid
     WHERE k.contype IN ('f', 'c')
    UNION ALL
    SELECT 'trigger', relation, CASE WHEN t.tgisinternal THEN 'constraint' ELSE t.tgname::text END,
           t.tgenabled::text
      FROM relations r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid
     WHERE NOT t.tgisinternal OR t.tgenabled <> 'O'
    UNION ALL
    SELECT 'rule', relation, w.rulename::text, ''
      FROM relations r JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid
     WHERE w.rulename <> '_RETURN'
    UNION ALL
    SELECT 'row security', relation, '', '' FROM relations WHERE relrowsecurity
    UNION ALL
    SELECT 'replication role', '', current_setting('session_replication_role'), ''
     WHERE current_setting('session_replication_role') <> 'origin'
    """
)


async def read(session: AsyncSession) -> list[Fact]:
    """The facts of the live catalogue, in canonical order; one statement."""
    rows = await session.execute(_FACTS)
    return sorted(Fact(*row) for row in rows)


def fingerprint(facts: Sequence[Fact]) -> str:
    """SHA-256 of the facts: the same schema gives the same digest."""
    return hashlib.sha256("\n".join("\t".join(fact) for fact in facts).encode()).hexdigest()


def compare(catalogue: Catalogue, facts: Sequence[Fact]) -> None:
    """Raise `SchemaMismatchError` unless the live schema is exactly what is declared."""
    wrong: list[str] = []
    declared = {
        (table.name, column.name): column.comment or "" for table, column, _ in catalogue.columns()
    }
    live = {(f.relation, f.name): f.detail for f in facts if f.kind == "column"}
    repeated = Counter((f.relation, f.name) for f in facts if f.kind == "column")
    wrong.extend(f"column {t}.{c} stands in two schemas" for (t, c), n in repeated.items() if n > 1)
    going = {(one.table, one.column) for one in catalogue.leaving}
    for (table, column), detail in live.items():
        if (table, column) not in declared:
            if {(table, column), (table, None)} & going:
                continue  # `holds_nothing` looks into it
            wrong.append(f"column {table}.{column} is not declared")
        elif detail.partition(" -- ")[2] != declared[table, column]:
            wrong.append(f"column {table}.{column} is declared otherwise than in the database")
    wrong.extend(f"column {t}.{c} is missing" for t, c in sorted(declared.keys() - live.keys()))
    wrong.extend(_enforcement(catalogue, facts))
    if wrong:
        raise SchemaMismatchError(wrong)


async def holds_nothing(session: AsyncSession, catalogue: Catalogue, facts: Sequence[Fact]) -> None:
    """Raise `SchemaMismatchError` if anything that is leaving still holds something.

    What nobody declares is erased by nobody: only because it is empty may it be there.
    """
    columns = {(fact.relation, fact.name) for fact in facts if fact.kind == "column"}
    tables = {relation for relation, _ in columns}
    there = [
        one
        for one in catalogue.leaving
        if ((one.table, one.column) in columns if one.column else one.table in tables)
    ]
    wrong = [
        f"{one} leaves with revision {one.revision}, and still holds something"
        for one in there
        if await session.scalar(_holds(one))
    ]
    if wrong:
        raise SchemaMismatchError(wrong)


def _holds(one: Leaving) -> Select[tuple[bool]]:
    """Whether a row of the table, or a value in the column, is left."""
    rows = select(literal(1)).select_from(a_table(one.table))
    if one.column:
        rows = rows.where(a_column(one.column).is_not(None))
    return select(rows.exists())


def _enforcement(catalogue: Catalogue, facts: Sequence[Fact]) -> list[str]:
    """What must be there for the database to refuse what erasure forgot, and what must not."""
    wrong = [
        f"{f.kind} {f.name} on {f.relation or 'the session'} may change what statements do"
        for f in facts
        if f.kind in ("trigger", "rule", "row security", "replication role")
    ]
    wrong.extend(
        f"{f.name} large objects hold what nobody declared"
        for f in facts
        if f.kind == "large object"
    )
    if (TOMBSTONE, "live_id", _LIVE_ID) not in {
        (f.relation, f.name, _plain(f.detail)) for f in facts if f.kind == "generated"
    }:
        wrong.append(f"{TOMBSTONE}.live_id does not follow from erased_at")
    constraints = {(f.relation, f.name): f.detail for f in facts if f.kind == "constraint"}
    wrong.extend(
        f"constraint {relation}.{name} is not validated"
        for (relation, name), detail in constraints.items()
        if detail.endswith("not valid")
    )
    for entry in catalogue.subjects:
        table, column = entry.table.name, entry.column.name
        target = "id" if entry.declared.fate is Fate.KEEP else "live_id"
        wanted = f"FOREIGN KEY ({column}) REFERENCES {TOMBSTONE}({target})"
        if wanted not in {d for (relation, _), d in constraints.items() if relation == table}:
            wrong.append(f"foreign key of {table}.{column} to {TOMBSTONE}.{target} is missing")
        if entry.declared.fate is Fate.DETACH and entry.personal:
            check = f"ck_{table}_{column}{DETACHED}"
            gone = " AND ".join(f"{one.name} IS NULL" for one in entry.personal)
            found = _plain(constraints.get((table, check), ""))
            for one in catalogue.leaving:  # null in every row: that it must be null asks no less
                if one.table == table and one.column:
                    found = re.sub(rf" AND {re.escape(one.column)} IS NULL\b", "", found)
                    found = re.sub(rf"\b{re.escape(one.column)} IS NULL AND ", "", found)
            if found != f"CHECK {column} IS NOT NULL OR {gone}":
                wrong.append(f"constraint {table}.{check} is missing, or says something else")
    return wrong


_LIVE_ID = "CASE WHEN erased_at IS NULL THEN id ELSE NULL::uuid END"


def _plain(expression: str) -> str:
    """Without PostgreSQL's own parentheses, quotes and lines; AND binds more tightly than OR."""
    return " ".join(expression.translate(str.maketrans("", "", '()"')).split())
