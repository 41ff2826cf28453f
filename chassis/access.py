"""What a service holds about one person, from its catalogue: the counterpart of erasure.

Whatever erasure touches is shown here and the other way round: both walk `Catalogue.subjects`
(GDPR art. 15 and 20). Only privacy may ask, with a client's token of the scope `subjects:read`.
"""

from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import (
    Boolean,
    Column,
    Date,
    DateTime,
    LargeBinary,
    Numeric,
    Table,
    Uuid,
    func,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import require_scope
from chassis.catalogue import KEY, Catalogue, Personal, SubjectColumn
from chassis.errors import NotFoundError, SubjectErasedError
from chassis.session import SessionDep, runtime_of
from chassis.tables import data_subject

SCOPE = "subjects:read"
MAX_ROWS = 5_000
"""Of one table in one answer; `next` says where the others begin."""

Kind = Literal[
    "text", "number", "boolean", "instant", "date", "id", "json", "list", "bytes", "file", "secret"
]
"""How to read a value; what was found is JSON. `bytes` are base64, `file` is a key for the route of
files, `secret` is true or false: whether there is one.
"""


_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class HeldColumn(BaseModel):
    """A personal column as it was declared; `label` is French."""

    name: _Name
    label: str = Field(max_length=300)
    category: str = Field(max_length=40)
    mandatory: bool
    kind: Kind


class HeldUnder(BaseModel):
    """Why rows stay after an erasure, and how many days."""

    rule: str = Field(max_length=100)
    source: str = Field(max_length=500)
    days: int | None


class Section(BaseModel):
    """The rows of one table that name the person in one way."""

    table: _Name
    subject: _Name
    purpose: str = Field(max_length=500)
    basis: str = Field(max_length=40)
    recipients: list[str] = Field(max_length=20)
    retention: str = Field(max_length=100)
    fate: str = Field(max_length=20)
    hold: HeldUnder | None
    columns: list[HeldColumn] = Field(max_length=200)
    total: int = Field(ge=0)
    """Rows there are; on pages after the first one, 0 when none is left."""
    rows: list[dict[str, Any]]


class Held(BaseModel):
    """What a service holds about one person; every table that can name people is there."""

    service: str
    sections: list[Section] = Field(max_length=500)
    next: int | None
    """The offset of the following page, if a table has more rows."""


def sections(catalogue: Catalogue) -> Iterator[Section]:
    """What may be held, without rows: one section for each subject column."""
    for entry in catalogue.subjects:
        declared = entry.declared
        hold = declared.hold
        yield Section(
            table=entry.table.name,
            subject=entry.column.name,
            purpose=declared.purpose,
            basis=declared.basis.value,
            recipients=[recipient.value for recipient in declared.recipients],
            retention=declared.retention,
            fate=declared.fate.value,
            hold=HeldUnder(rule=hold.rule, source=hold.source, days=hold.days) if hold else None,
            columns=[_describe(column) for column in entry.personal],
            total=0,
            rows=[],
        )


async def collect(
    session: AsyncSession,
    catalogue: Catalogue,
    *,
    person_id: UUID,
    offset: int = 0,
    limit: int = MAX_ROWS,
) -> Held:
    """Everything about this person and nothing about anybody else: one statement per table.

    Of a row that names two people, each is shown their own columns only. `limit` is per table, in
    the order of its primary key.
    """
    found: list[Section] = []
    following = None
    shown = zip(catalogue.subjects, sections(catalogue), strict=True)
    for table, group in groupby(shown, key=lambda pair: pair[0].table):
        ways = list(group)
        rows, total = await _rows(
            session, table, [entry for entry, _ in ways], person_id, offset=offset, limit=limit
        )
        for index, (entry, section) in enumerate(ways):
            own = [row for row in rows if row[f"of_{index}"]]
            section.total = rows[0][f"total_{index}"] if rows else 0
            section.rows = [
                {column.name: _value(column, row[column.name]) for column in entry.personal}
                for row in own
            ]
            found.append(section)
        if total > offset + limit:
            following = offset + limit
    return Held(service=catalogue.service, sections=found, next=following)


async def _rows(
    session: AsyncSession,
    table: Table,
    ways: list[SubjectColumn],
    person_id: UUID,
    *,
    offset: int,
    limit: int,
) -> tuple[list[Any], int]:
    """Rows that name the person in any way, with the ways, and how many there are in all."""
    named = [entry.column == person_id for entry in ways]
    columns = {column.name: column for entry in ways for column in entry.personal}
    statement = (
        select(
            *columns.values(),
            *(func.coalesce(one, False).label(f"of_{index}") for index, one in enumerate(named)),
            *(
                func.count().filter(one).over().label(f"total_{index}")
                for index, one in enumerate(named)
            ),
            func.count().over().label("total_rows"),
        )
        .where(or_(*named))
        .order_by(*table.primary_key.columns)
        .offset(offset)
        .limit(limit)
    )
    found = list((await session.execute(statement)).mappings())
    return found, found[0]["total_rows"] if found else 0


async def owns_file(
    session: AsyncSession, catalogue: Catalogue, *, person_id: UUID, key: str
) -> bool:
    """Whether a row about this person has this file."""
    owned = [
        select(entry.column).where(entry.column == person_id, column == key)
        for entry in catalogue.subjects
        for column in entry.personal
        if _kind(column) == "file"
    ]
    return bool(owned) and await session.scalar(union_all(*owned).limit(1)) is not None


def _describe(column: Column[Any]) -> HeldColumn:
    declared: Personal = column.info[KEY]
    return HeldColumn(
        name=column.name,
        label=declared.label,
        category=declared.category.value,
        mandatory=declared.mandatory,
        kind=_kind(column),
    )


_KINDS: tuple[tuple[type, Kind], ...] = (
    (Boolean, "boolean"),
    (Numeric, "number"),
    (Uuid, "id"),
    (DateTime, "instant"),
    (Date, "date"),
    (JSON, "json"),
    (ARRAY, "list"),
    (LargeBinary, "bytes"),
)


def _kind(column: Column[Any]) -> Kind:
    declared: Personal = column.info[KEY]
    if declared.secret or declared.file:
        return "secret" if declared.secret else "file"
    if column.type.python_type is int:
        return "number"
    return next((kind for of, kind in _KINDS if isinstance(column.type, of)), "text")


def _value(column: Column[Any], value: Any) -> Any:
    return value is not None if _kind(column) == "secret" else _json(value)


def _json(value: Any) -> Any:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case bytes():
            return b64encode(value).decode()
        case list():
            return [_json(one) for one in value]
        case dict():
            return {str(name): _json(one) for name, one in value.items()}
    return str(value)


router = APIRouter(
    prefix="/internal/subjects",
    include_in_schema=False,
    dependencies=[Depends(require_scope(SCOPE))],
)


async def _not_erased(session: SessionDep, person_id: UUID) -> UUID:
    """Raises `SubjectErasedError` for who was erased here; a stranger is no error."""
    erased_at = await session.scalar(
        select(data_subject.c.erased_at).where(data_subject.c.id == person_id)
    )
    if erased_at is not None:
        raise SubjectErasedError
    return person_id


PersonId = Annotated[UUID, Depends(_not_erased)]


@router.get("/{person_id}")
async def held(
    request: Request,
    session: SessionDep,
    person_id: PersonId,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = MAX_ROWS,
) -> Held:
    """What is held about this person."""
    catalogue = runtime_of(request).service.catalogue
    return await collect(session, catalogue, person_id=person_id, offset=offset, limit=limit)


@router.get("/{person_id}/files/{key:path}")
async def file(request: Request, session: SessionDep, person_id: PersonId, key: str) -> Response:
    """A file of this person; that of somebody else does not exist."""
    runtime = runtime_of(request)
    content = None
    if await owns_file(session, runtime.service.catalogue, person_id=person_id, key=key):
        content = await runtime.storage.get(key)
    if content is None:
        raise NotFoundError
    return Response(content, media_type="application/octet-stream")
