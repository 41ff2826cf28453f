"""The rows that fall with people, column by column as declared, in as few statements as can be."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from uuid import UUID

from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid

from chassis.catalogue import KEY, Catalogue, Fate, Personal, SubjectColumn
from contracts.privacy import Kept

_IDS = bindparam("ids", type_=ARRAY(Uuid))


@dataclass
class Tally:
    """What was done for one person in one table."""

    deleted: int = 0
    detached: int = 0
    kept: list[Kept] = field(default_factory=list)

    @property
    def held_something(self) -> bool:
        return bool(self.deleted or self.detached or any(kept.rows for kept in self.kept))


Tallies = dict[UUID, dict[str, Tally]]
"""By person, then by table; every table of the catalogue is there."""


def waves(catalogue: Catalogue) -> list[list[SubjectColumn]]:
    """What can fall in one statement: a table that names two people comes again in the next.

    PostgreSQL changes a row once per statement, and what is kept is counted after what has gone.
    """
    waves: list[list[SubjectColumn]] = []
    seen: Counter[str] = Counter()
    for entry in catalogue.subjects:
        if entry.declared.fate in _ROWS:
            if seen[entry.table.name] == len(waves):
                waves.append([])
            waves[seen[entry.table.name]].append(entry)
            seen[entry.table.name] += 1
    return waves


async def fall(
    session: AsyncSession,
    wave: Sequence[SubjectColumn],
    *,
    people: Sequence[UUID],
    tallies: Tallies,
    files: list[str],
    now: datetime,
) -> None:
    """One statement for these columns, however many people and tables there are."""
    found = await session.execute(_prepared(_together(wave)), {"ids": list(people)})
    for place, rows, those, keys in found:
        entry = wave[place]
        table, hold = entry.table.name, entry.declared.hold
        files.extend(keys)
        match entry.declared.fate:
            case Fate.DELETE:
                for person in those:
                    tallies[person][table].deleted += rows
            case Fate.DETACH:
                for person in those:
                    tallies[person][table].detached += rows
            case Fate.KEEP if hold is not None:
                until = now + timedelta(days=hold.days) if hold.days is not None else None
                kept = Kept(rule=hold.rule, rows=rows, until=until)
                for person in those:
                    tallies[person][table].kept.append(kept)


@cache
def _prepared(statement: str) -> TextClause:
    return text(statement).bindparams(_IDS)


def _together(wave: Sequence[SubjectColumn]) -> str:
    """By column and number of rows: whose they were; by column, the keys of files that fall with them.

    Most people have as many rows as others have: a line for each person would be fetched for nothing.
    """
    rows = ", ".join(
        _ROWS[entry.declared.fate](entry, f"rows_{place}") for place, entry in enumerate(wave)
    )
    found = []
    for place, entry in enumerate(wave):
        found.append(
            f"SELECT {place}, rows, array_agg(person), ARRAY[]::text[] FROM"
            f" (SELECT person, count(*) AS rows FROM rows_{place} GROUP BY person) AS counted GROUP BY rows"
        )
        found.extend(
            f"SELECT {place}, 0, ARRAY[]::uuid[], array_agg({key}::text) FROM rows_{place}"
            f" WHERE {key} IS NOT NULL HAVING count(*) > 0"
            for key in _files(entry)
        )
    return f"WITH {rows} {' UNION ALL '.join(found)}"


def _files(entry: SubjectColumn) -> list[str]:
    """The columns with keys of files that fall with the rows."""
    if entry.declared.fate is Fate.KEEP:
        return []
    return [
        _quote(column.name)
        for column in entry.personal
        if isinstance(column.info[KEY], Personal) and column.info[KEY].file
    ]


def _deleted(entry: SubjectColumn, name: str) -> str:
    table, column = _quote(entry.table.name), _quote(entry.column.name)
    returned = ", ".join((f"{column} AS person", *_files(entry)))
    return f"{name} AS (DELETE FROM {table} WHERE {column} = ANY(:ids) RETURNING {returned})"


def _detached(entry: SubjectColumn, name: str) -> str:
    table, column = _quote(entry.table.name), _quote(entry.column.name)
    keys = [_quote(key.name) for key in entry.table.primary_key.columns]
    nulls = ", ".join(f"{_quote(c.name)} = NULL" for c in (entry.column, *entry.personal))
    same = " AND ".join(f"t.{key} = {name}.{key}" for key in keys)
    return (
        f"{name} AS (SELECT {', '.join(dict.fromkeys((*keys, f'{column} AS person', *_files(entry))))}"
        f" FROM {table} WHERE {column} = ANY(:ids) FOR UPDATE),"
        f" done_{name} AS (UPDATE {table} t SET {nulls} FROM {name} WHERE {same})"
    )


def _kept(entry: SubjectColumn, name: str) -> str:
    table, column = _quote(entry.table.name), _quote(entry.column.name)
    return f"{name} AS (SELECT {column} AS person FROM {table} WHERE {column} = ANY(:ids))"


_ROWS: Mapping[Fate, Callable[[SubjectColumn, str], str]] = {
    Fate.DELETE: _deleted,
    Fate.DETACH: _detached,
    Fate.KEEP: _kept,
}
"""The rows of one column, under a name; what is shared was decided before, by its own rule."""


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
