"""Erasure tried on the live database, with somebody who does not exist, and undone.

Evidence says that the tables which are declared are empty. A rehearsal looks where nobody looked: it
writes a person into every table, every text with a random word, forgets them by the code that forgets
people, and then searches every column of every table for the word, declared or not: what a trigger copied,
what a search vector kept, what a rule of the service forgot. All of it in a savepoint that is rolled back: no other
transaction ever sees these rows, no event leaves, nothing is kept.
"""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from prometheus_client import Gauge
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit, filling, live_schema, outbox
from chassis.catalogue import Catalogue, Fate
from chassis.erasure import (
    Eraser,
    FilesLeftError,
    RowsLeftError,
    TombstoneRefusedError,
    erase,
)

ACTION = "erasure.rehearse"

_when = Gauge(
    "ccib_rehearsal_timestamp_seconds",
    "When erasure was last rehearsed (Unix time); before the first time, since when one is due",
    ["service"],
)
_left = Gauge(
    "ccib_rehearsal_left", "Columns in which the last rehearsal left something", ["service"]
)
_holds = Gauge(
    "ccib_rehearsal_holds", "1: the last rehearsal looked everywhere and left nothing", ["service"]
)

_ONE_AT_A_TIME = text("SELECT pg_try_advisory_xact_lock(hashtextextended('rehearsal', 0))")
_NO_HURRY = text("SET LOCAL statement_timeout TO DEFAULT")
_COLUMNS = text(
    """
    SELECT n.nspname::text, c.relname::text,
           has_table_privilege(c.oid, 'SELECT') AS readable,
           array_agg(a.attname::text ORDER BY a.attnum)
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
     WHERE (c.relkind IN ('r', 'm', 'f') AND NOT c.relispartition OR c.relkind = 'p')
       AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
       -- What no word fits into: numbers, truths, times, networks.
       AND t.typcategory NOT IN ('N', 'B', 'D', 'T', 'I') AND t.typname <> 'uuid'
    GROUP BY 1, 2, c.oid
    """
)


class RehearsingError(Exception):
    """Another rehearsal runs in this database."""


class _NotPlantedError(Exception):
    """The word was not found where it was written: the search would prove nothing."""


_TROUBLES = (
    FilesLeftError,
    RowsLeftError,
    TombstoneRefusedError,
    live_schema.SchemaMismatchError,
    _NotPlantedError,
)


class _UndoneError(Exception):
    """Ends the savepoint; nobody else sees it."""


@dataclass(kw_only=True)
class Rehearsal:
    """What became of somebody who never was."""

    rows: dict[str, int] = field(default_factory=dict)
    """By table, how many rows named them or hung on theirs."""
    columns: int = 0
    """In how many columns the word stood before."""
    left: list[str] = field(default_factory=list)
    """`table.column` in which it still stood afterwards, holds excepted; must be empty."""
    unreadable: list[str] = field(default_factory=list)
    """Tables that this role may not read, and in which nothing could be searched."""
    impossible: dict[str, str] = field(default_factory=dict)
    """Tables with no place for one more row, each with the constraint that says so."""

    trouble: str | None = None
    """What stood in the way of the erasure, as it would for anybody."""

    @property
    def holds(self) -> bool:
        """The person was forgotten, nothing was left, and everything was looked at."""
        return not (self.left or self.unreadable or self.trouble)


async def rehearse(
    session: AsyncSession, eraser: Eraser, *, by: UUID | None, seconds: float = 45
) -> Rehearsal:
    """Plant, forget, search, undo, and write down what came of it. Takes as long as reading every
    table twice.

    `by`: the operator who asked, or None for the clock. `seconds`: how long it may take in all; the
    gateway and the command wait for sixty.
    Raises `RehearsingError`; what stands in the way of the erasure is part of the answer.
    """
    if not await session.scalar(_ONE_AT_A_TIME):
        raise RehearsingError
    told = Rehearsal()
    try:
        live_schema.compare(eraser.catalogue, await live_schema.read(session))
        async with outbox.savepoint(session):
            await _played(session, eraser, told, time.monotonic() + seconds)
            raise _UndoneError
    except _UndoneError:
        pass
    except _TROUBLES as trouble:
        told.trouble = f"{type(trouble).__name__.removeprefix('_')}: {trouble}"
    except DBAPIError as trouble:
        if trouble.connection_invalidated:
            raise
        # Its sentence may repeat values; the code says as much: 57014 is a table that took too long.
        told.trouble = f"PostgreSQL {getattr(trouble.orig, 'sqlstate', None)}"
    await session.execute(_NO_HURRY)
    await audit.note(session, person_id=by, action=ACTION, holds=told.holds, left=len(told.left))
    return told


async def sample(session: AsyncSession) -> None:
    """What came of the last rehearsal, whoever asked for it."""
    service = session.info["service"]
    done = await audit.last(session, ACTION)
    if done is None:
        _since.setdefault(service, time.time())
        _when.labels(service).set(_since[service])
        return
    _when.labels(service).set(done.done_at.timestamp())
    _left.labels(service).set(done.about["left"])
    _holds.labels(service).set(done.about["holds"])


_since: dict[str, float] = {}


async def _played(session: AsyncSession, eraser: Eraser, told: Rehearsal, until: float) -> None:
    await _hurry(session, until)
    person, word = uuid4(), secrets.token_hex(4)
    made = await filling.fill(await session.connection(), eraser.catalogue, person, word=word)
    told.rows = {table: len(rows) for table, rows in sorted(made.rows.items())}
    told.impossible = {t: c for t, c in sorted(made.impossible.items()) if t not in made.rows}
    before, told.unreadable = await search(session, f"zq{word}", until=until)
    told.columns = len(before)
    if not before or (missing := _written(made, word) - set(before)):
        raise _NotPlantedError(", ".join(sorted(missing)) if before else "nowhere")
    await erase(session, [person], eraser)
    after, _ = await search(session, f"zq{word}", until=until)
    kept = _under_hold(eraser.catalogue)
    told.left = [place for place in after if place not in kept]


def _written(made: filling.Filling, word: str) -> set[str]:
    """Where the word was written, as `table.column`."""
    return {
        f"{table}.{name}"
        for table, rows in made.rows.items()
        for row in rows
        for name, value in row.items()
        if word in (value.decode("latin-1") if isinstance(value, bytes) else str(value))
    }


def _under_hold(catalogue: Catalogue) -> set[str]:
    """The columns that a hold keeps, as evidence says openly."""
    return {
        f"{entry.table.name}.{column.name}"
        for entry in catalogue.subjects
        if entry.declared.fate is Fate.KEEP
        for column in entry.personal
    }


async def search(session: AsyncSession, word: str, *, until: float) -> tuple[list[str], list[str]]:
    """Where the word stands in the live database, as `table.column`; and what could not be read.

    Every column of every table that PostgreSQL itself knows of, written as text.
    """
    found: list[str] = []
    unreadable: list[str] = []
    for schema, table, readable, columns in (await session.execute(_COLUMNS)).all():
        if not readable:
            unreadable.append(table)
            continue
        await _hurry(session, until)
        place = table if schema == "public" else f"{schema}.{table}"
        hits = await _in_table(session, schema, table, columns, word)
        found += [f"{place}.{name}" for name in hits]
    return sorted(found), sorted(unreadable)


async def _in_table(
    session: AsyncSession, schema: str, table: str, columns: Sequence[str], word: str
) -> list[str]:
    """The columns with it, in one pass over the table, in capitals or not; bytes are searched as the hexadecimal that PostgreSQL writes."""
    patterns = {"word": f"%{word}%", "bytes": f"%{word.encode().hex()}%"}
    looked = ", ".join(
        f"bool_or({_quote(name)}::text ILIKE :word OR {_quote(name)}::text LIKE :bytes)"
        for name in columns
    )
    statement = f"SELECT {looked} FROM {_quote(schema)}.{_quote(table)}"  # noqa: S608 - names of PostgreSQL's own
    hits = (await session.execute(text(statement), patterns)).one()
    return [name for name, hit in zip(columns, hits, strict=True) if hit]


async def _hurry(session: AsyncSession, until: float) -> None:
    """No statement from here on takes longer than what is left of the time."""
    left = max(1, int((until - time.monotonic()) * 1000))
    await session.execute(text(f"SET LOCAL statement_timeout = {left}"))


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""').replace(":", r"\:") + '"'
