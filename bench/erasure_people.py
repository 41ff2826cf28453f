"""People for the figures of erasure: one row in every table that names people, many at a time.

One person is written by `tests.rows.fill`, from the declarations; the others are copies of that one
with ids and texts of their own, so that ten thousand of them take seconds.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Table, insert
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.catalogue import Catalogue
from chassis.tables import data_subject
from services.identity.credentials import hash_password
from tests import rows

PASSWORD = "Sept-Péniches-Bleues-42"  # noqa: S105 - of people who do not exist
CHUNK = 1000

# Rows that say that an erasure of this person is under way already, or was proven.
_PROTOCOL = {
    "identity": {"erasure_request", "role_grant"},
    "privacy": {
        "broadcast", "erasure", "erasure_alias", "last_message", "step", "waiver", "participant",
        "manifest", "escalation", "escalation_mail", "refusal",
    },
}  # fmt: skip

Template = dict[str, list[dict[str, Any]]]


async def template(connection: AsyncConnection, catalogue: Catalogue) -> Template:
    """The rows of one person, by table, parents first; they are rolled back, nobody keeps them."""
    transaction = await connection.begin_nested()
    filling = await rows.fill(connection, catalogue, _TEMPLATE)
    await transaction.rollback()
    left_out = _PROTOCOL.get(catalogue.service, set())
    return {
        table.name: [row | _referring_to(left_out, table) for row in filling.rows[table.name]]
        for table in catalogue.metadata.sorted_tables
        if table.name in filling.rows and table.name not in left_out
    }


def _referring_to(tables: set[str], table: Table) -> dict[str, None]:
    return {
        one.name: None
        for one in table.columns
        if any(key.column.table.name in tables for key in one.foreign_keys)
    }


_TEMPLATE = uuid4()


async def remember(
    connection: AsyncConnection, catalogue: Catalogue, people: Sequence[UUID]
) -> list[str]:
    """Write rows about these people in every table; returns the keys of their files."""
    model = await template(connection, catalogue)
    hashed = await hash_password(PASSWORD) if catalogue.service == "identity" else ""
    files = [
        (table.name, column.name)
        for table, column, declared in catalogue.columns()
        if getattr(declared, "file", False)
    ]
    keys: list[str] = []
    for start in range(0, len(people), CHUNK):
        chunk = people[start : start + CHUNK]
        await connection.execute(
            upsert(data_subject).values([{"id": one} for one in chunk]).on_conflict_do_nothing()
        )
        copies: Template = {name: [] for name in model}
        for person in chunk:
            known: dict[Any, Any] = {_TEMPLATE: person}
            for name, made in model.items():
                copies[name] += [_copy(row, known) for row in made]
        if "account" in copies:
            copies["account"] = [row | _usable(row, hashed) for row in copies["account"]]
        for name, made in copies.items():
            await connection.execute(insert(catalogue.metadata.tables[name]), made)
        keys += [row[column] for name, column in files for row in copies[name] if row[column]]
    return keys


def _copy(row: Mapping[str, Any], known: dict[Any, Any]) -> dict[str, Any]:
    return {name: _other(value, known) for name, value in row.items()}


def _other(value: Any, known: dict[Any, Any]) -> Any:
    """The same kind of value, and the same one wherever the template had the same."""
    match value:
        case list():
            return [_other(one, known) for one in value]
        case dict():
            return {name: _other(one, known) for name, one in value.items()}
        case UUID() | bytes() | str():
            if value not in known:
                known[value] = _fresh(value)
            return known[value]
    return value


def _fresh(value: UUID | bytes | str) -> Any:
    match value:
        case UUID():
            return uuid4()
        case bytes():
            return secrets.token_bytes(len(value))
    if re.fullmatch(r"zq[0-9a-f]+", value):
        return f"zq{secrets.token_hex(len(value))}"[: len(value)]
    if value.isdigit() and len(value) > 8:
        return "".join(secrets.choice("123456789") for _ in value)
    if not value.isascii():
        return "".join(chr(0x4E00 + secrets.randbelow(20_000)) for _ in value)
    return value


def _usable(row: Mapping[str, Any], hashed: str) -> dict[str, Any]:
    """An account that can be signed in to, with an address that mail can go to."""
    opened = datetime(2026, 1, 5, 12, tzinfo=UTC)
    return {
        "email": f"{row['email']}@entreprise.example",
        "password_hash": hashed,
        "state": "active",
        "opened_at": opened,
        "verified_at": opened,
    }
