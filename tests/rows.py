"""What a database holds about a person: cell by cell before, and what must be left after.

`after_erasure` says, from the declarations but not from the code that erases, what must be left.
Rows about somebody are made by `chassis.filling`.
"""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.catalogue import KEY, TOMBSTONE, Catalogue, Fate, Personal, Subject
from chassis.filling import Filling, fill

__all__ = ["PLUMBING", "Dump", "Filling", "after_erasure", "dump", "everything", "fill"]

PLUMBING = frozenset({"applied", "outbox", "inbox", "aggregate_sequence", "alembic_version"})
"""Tables of opaque ids, which change with every message."""

Dump = dict[str, dict[tuple[str, ...], dict[str, str | None]]]
"""By table, then by primary key: every cell as PostgreSQL writes it."""


async def dump(connection: AsyncConnection, catalogue: Catalogue) -> Dump:
    """Every declared table but the plumbing, cell by cell."""
    found: Dump = {}
    for table in catalogue.metadata.tables.values():
        if table.name in PLUMBING:
            continue
        keys = [c.name for c in table.primary_key.columns]
        cells = ", ".join(f'"{c.name}"::text' for c in table.columns)
        rows = await connection.execute(text(f'SELECT {cells} FROM "{table.name}"'))
        names = [c.name for c in table.columns]
        found[table.name] = {
            tuple(str(row[names.index(key)]) for key in keys): dict(zip(names, row, strict=True))
            for row in rows
        }
    return found


async def everything(connection: AsyncConnection) -> str:
    """Every row of every table of the live database, declared or not, as one text."""
    tables = await connection.scalars(
        text(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n"
            " ON n.oid = c.relnamespace WHERE relkind IN ('r', 'p', 'm')"
            " AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
        )
    )
    found: list[str] = []
    for table in tables.all():
        found += await connection.scalars(text(f"SELECT t::text FROM {table} t"))
    return "\n".join(found)


def after_erasure(before: Dump, catalogue: Catalogue, person: UUID) -> Dump:
    """What the declarations promise for each row; rows under a rule of the service are left out."""
    left: Dump = {}
    for table in catalogue.metadata.tables.values():
        if table.name not in before or table.name == TOMBSTONE:
            continue
        subjects = {c.name: c.info[KEY] for c in table.columns if isinstance(c.info[KEY], Subject)}
        left[table.name] = {}
        for key, cells in before[table.name].items():
            named = {name: s for name, s in subjects.items() if cells[name] == str(person)}
            if any(s.fate in (Fate.DELETE, Fate.SHARED) for s in named.values()):
                continue
            gone = {name for name, s in named.items() if s.fate is Fate.DETACH}
            for c in table.columns:
                declared = c.info[KEY]
                if isinstance(declared, Personal) and (declared.of or next(iter(subjects))) in gone:
                    gone |= {c.name}
            left[table.name][key] = {n: None if n in gone else v for n, v in cells.items()}
    return left
