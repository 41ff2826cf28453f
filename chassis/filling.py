"""Rows about a person who does not exist, in every table of a catalogue, made from its declarations alone.

Foreign keys and CHECK constraints are honoured (PostgreSQL itself chooses among the values that might do),
so that it also works for a table that nobody has thought of yet. For rehearsals of erasure
(`chassis.rehearsal`) and for tests.
"""

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Float,
    FromClause,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Uuid,
    cast,
    column,
    insert,
    select,
    text,
    true,
    values,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeDecorator

from chassis.catalogue import KEY, Catalogue, Fate, Personal, Subject
from chassis.db import violated_constraint
from chassis.tables import data_subject

_LONG = 24
_SHORT = 12
"""Texts that must be shorter are made of rare characters, to be unique all the same."""

Values = dict[str, Any]


class _NoParentError(Exception):
    """There is no row to refer to, and there can be none."""


@dataclass
class Filling:
    """What was written about one person."""

    person: UUID
    word: str = ""
    """Every personal text that has room for it begins with it, after `zq`."""
    rows: dict[str, list[Values]] = field(default_factory=dict)
    """By table; parents that belong to nobody included."""
    tokens: dict[str, str] = field(default_factory=dict)
    """Unique texts that must be found nowhere after the erasure, each with its column."""
    held: dict[str, str] = field(default_factory=dict)
    """The same, for columns that a hold keeps."""
    files: dict[str, str] = field(default_factory=dict)
    """Keys of stored files, each with its column."""
    impossible: dict[str, str] = field(default_factory=dict)
    """Tables in which a row of others leaves no place for one more, each with the constraint."""


async def fill(
    connection: AsyncConnection,
    catalogue: Catalogue,
    person: UUID,
    *,
    other: UUID | None = None,
    word: str = "",
) -> Filling:
    """Write the person's rows: every table that names people, every personal column at least once.

    With `other`, rows that name two people instead, one in each role of the table; and the person's
    own rows that hang on what the other one shares, which no rule takes along.
    """
    filling = Filling(person, word=word)
    for one in (person, other) if other else (person,):
        await connection.execute(upsert(data_subject).values(id=one).on_conflict_do_nothing())
    for table in catalogue.metadata.sorted_tables:
        for roles in _roles(table, person, other):
            empty = {c.name for c in table.columns if isinstance(c.info[KEY], Personal)}
            again = True
            while again:  # a CHECK may forbid to fill all columns at once
                made = await _row(connection, filling, table, roles, wanted=empty)
                filled = {name for name in empty if made and made.get(name) is not None}
                empty -= filled
                again = bool(filled and empty)
        if other and _hangs_on_what_is_shared(table):
            names = [c.name for c in table.columns if isinstance(c.info[KEY], Subject)]
            roles = dict.fromkeys(names, person)
            await _row(connection, filling, table, roles, wanted=set(), parents=other)
    return filling


def _hangs_on_what_is_shared(table: Table) -> bool:
    declared = [
        one.info[KEY]
        for key in table.foreign_keys
        if key.column.table is not table and isinstance(key.parent.info[KEY], Personal)
        for one in key.column.table.columns
    ]
    return any(isinstance(one, Subject) and one.fate is Fate.SHARED for one in declared)


def _roles(table: Table, person: UUID, other: UUID | None) -> Iterator[dict[str, UUID]]:
    names = [c.name for c in table.columns if isinstance(c.info[KEY], Subject)]
    if names and other is None:
        yield dict.fromkeys(names, person)
    elif len(names) > 1 and other is not None:
        for name in names:
            yield {**dict.fromkeys(names, other), name: person}


async def _row(
    connection: AsyncConnection,
    filling: Filling,
    table: Table,
    roles: Mapping[str, UUID],
    *,
    wanted: set[str],
    parents: UUID | None = None,
) -> Values | None:
    """Insert a row; None when none can exist, such as a message to oneself.

    `parents`: whose the rows are that it hangs on; those of the person who is named unless told.
    """
    fixed: Values = dict(roles)
    for one in table.columns:
        for key in one.foreign_keys:
            if one.name not in fixed and key.column.table is not table:
                role = getattr(one.info[KEY], "of", None) or next(iter(roles), None)
                owner = parents or (roles[role] if role else filling.person)
                try:
                    fixed[one.name] = await _parent(connection, filling, key.column, owner)
                except _NoParentError as error:
                    filling.impossible[table.name] = str(error)
                    return None
    made = await _choose(connection, table, fixed, wanted, filling.word)
    if made is not None:
        try:
            async with connection.begin_nested():
                await connection.execute(insert(table).values(made))
        except IntegrityError as error:
            filling.impossible[table.name] = violated_constraint(error) or "a constraint"
            return None
        filling.rows.setdefault(table.name, []).append(made)
        _note(filling, table, made)
    return made


async def _parent(
    connection: AsyncConnection, filling: Filling, target: Column[Any], owner: UUID
) -> Any:
    """A column of the owner's row there, or of one that belongs to nobody."""
    table: Any = target.table
    names = [c.name for c in table.columns if isinstance(c.info[KEY], Subject)]
    for there in filling.rows.get(table.name, ()):
        if all(there[name] == owner for name in names):
            return there[target.name]
    made = await _row(connection, filling, table, dict.fromkeys(names, owner), wanted=set())
    if made is None:
        raise _NoParentError(filling.impossible.get(table.name) or table.name)
    return made[target.name]


async def _choose(
    connection: AsyncConnection, table: Table, fixed: Values, wanted: set[str], word: str
) -> Values | None:
    """A value for every column that the CHECK constraints accept together, nulls avoided."""
    checks = [
        str(check.sqltext)
        for check in table.constraints
        if isinstance(check, CheckConstraint) and not str(check.name).endswith("_detached")
    ]
    free = [c for c in table.columns if not (c.computed or c.identity)]
    choices = {
        c.name: [fixed[c.name]]
        if c.name in fixed
        else _candidates(c, [check for check in checks if re.search(rf"\b{c.name}\b", check)], word)
        for c in free
    }
    bound = [c for c in free if any(re.search(rf"\b{c.name}\b", check) for check in checks)]
    places = dict.fromkeys(choices, 0)
    if bound:
        sources = [
            values(column(f"{c.name}_place", Integer), column(c.name, c.type), name=f"of_{c.name}")
            .data(list(enumerate(choices[c.name])))
            .alias(f"of_{c.name}")
            for c in bound
        ]
        cost = [
            cast(source.c[c.name].is_(None), Integer) * (10_000 if c.name in wanted else 100)
            + source.c[f"{c.name}_place"]
            for c, source in zip(bound, sources, strict=True)
        ]
        together: FromClause = sources[0]
        for source in sources[1:]:
            together = together.join(source, true())
        query = select(
            *(source.c[f"{c.name}_place"] for c, source in zip(bound, sources, strict=True))
        ).select_from(together)
        for check in checks:
            query = query.where(text(f"({check}) IS NOT FALSE".replace(":", r"\:")))
        found = (
            await connection.execute(query.order_by(sum(cost[1:], cost[0])).limit(1))
        ).one_or_none()
        if found is None:
            return None
        places |= {c.name: found[index] for index, c in enumerate(bound)}
    return {name: choices[name][place] for name, place in places.items()}


def _candidates(one: Column[Any], checks: list[str], word: str) -> list[Any]:
    """Values to try, the most telling first."""
    literals = [literal for check in checks for literal in re.findall(r"'([^']*)'", check)]
    found = [
        *_values(one, word if isinstance(one.info[KEY], Personal) else ""),
        *(literals if _is_text(one) else []),
    ]
    return [*found, None] if one.nullable else found


def _values(one: Column[Any], word: str) -> list[Any]:
    kind = _kind(one)
    if isinstance(kind, ARRAY):
        return [[_token(_LONG, word)]]
    if isinstance(kind, JSONB):
        return [{"mot": _token(_LONG, word)}]
    if isinstance(kind, Uuid):
        return [uuid4()]
    # In the order of the columns, as CHECKs about what comes first expect it.
    days = 40 * list(one.table.columns).index(one)
    if isinstance(kind, DateTime):  # each with microseconds of its own
        start = datetime(2031, 1, 1, tzinfo=UTC) + timedelta(days=days)
        return [start + timedelta(microseconds=secrets.randbelow(3 * 10**12))]
    if isinstance(kind, Date):
        return [date(2031, 1, 1) + timedelta(days=days + secrets.randbelow(40))]
    if isinstance(kind, LargeBinary):
        return [_token(_LONG, word).encode()]
    if isinstance(kind, Boolean):
        return [True, False]
    if isinstance(kind, BigInteger) and one.primary_key:  # a test may need many
        return [100 + secrets.randbelow(10**15)]
    if isinstance(kind, Integer):
        return [100 + secrets.randbelow(30_000), 1, 0]
    if isinstance(kind, Float | Numeric):
        return [secrets.randbelow(40_000_000) / 1_000_000]
    length = getattr(kind, "length", None) or _LONG
    digits = "".join(secrets.choice("123456789") for _ in range(min(length, _LONG)))
    return [_token(length, word), digits]


def _token(length: int, word: str) -> str:
    if length < _SHORT:
        return "".join(chr(0x4E00 + secrets.randbelow(20_000)) for _ in range(length))
    return f"zq{word}{secrets.token_hex(_LONG)}"[: min(length, _LONG)]


def _kind(one: Column[Any]) -> Any:
    return one.type.impl if isinstance(one.type, TypeDecorator) else one.type


def _is_text(one: Column[Any]) -> bool:
    return not isinstance(
        _kind(one),
        ARRAY | JSONB | Uuid | Date | DateTime | LargeBinary | Boolean | Integer | Numeric,
    )


def _note(filling: Filling, table: Table, made: Values) -> None:
    """Remember the texts that will be searched for."""
    for one in table.columns:
        declared, value = one.info[KEY], made.get(one.name)
        if not isinstance(declared, Personal) or value is None:
            continue
        owner = next(
            c
            for c in table.columns
            if isinstance(c.info[KEY], Subject) and declared.of in (None, c.name)
        )
        if made[owner.name] != filling.person:
            continue
        where = f"{table.name}.{one.name}"
        if declared.file:
            filling.files[value] = where
        token = _searchable(value)
        if token is not None and not one.foreign_keys:
            kept = owner.info[KEY].fate is Fate.KEEP
            (filling.held if kept else filling.tokens)[token] = where


def _searchable(value: Any) -> str | None:
    """The text under which the value would be found in a dump, if it is unique."""
    match value:
        case dict():
            return _searchable(next(iter(value.values())))
        case list():
            return _searchable(value[0])
        case bytes():
            return value.hex()
        case UUID():
            return str(value)
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S.%f}".rstrip("0")
        case str() if not value.isascii():
            return value
        # A word that a CHECK prescribes stands in the rows of others too.
        case str() if len(value) >= _SHORT and (value.startswith("zq") or value.isdigit()):
            return value
    return None
