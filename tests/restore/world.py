"""Backups of a service's database as operators make them, and what it then shows of a person."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy import Table

from chassis import filling as making
from chassis.access import SCOPE
from chassis.catalogue import KEY, Personal
from chassis.service import Runtime, open_runtime
from contracts.base import Event
from tests import rows
from tests.stand import Stand, copied


def name_of(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


@asynccontextmanager
async def administrator(stand: Stand) -> AsyncIterator[asyncpg.Connection]:
    """Beside the service's database, not in it."""
    connection = await asyncpg.connect(f"{stand.admin_url.rpartition('/')[0]}/postgres")
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def closed(admin: asyncpg.Connection, name: str) -> AsyncIterator[None]:
    """Nobody is connected to that database inside the block."""
    await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    try:
        while await admin.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1", name
        ):
            await asyncio.sleep(0.005)
        yield
    finally:
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


async def back_up(stand: Stand) -> str:
    """A copy of the service's database as it is now; returns its name."""
    name, copy = name_of(stand.settings.database_url), f"b{uuid4().hex}"
    async with administrator(stand) as admin, closed(admin, name):
        await copied(admin, copy, template=name)
    return copy


async def restore(stand: Stand, backup: str) -> None:
    """Put the backup where the service's database was, behind whoever uses it."""
    name, old = name_of(stand.settings.database_url), f"o{uuid4().hex}"
    async with administrator(stand) as admin:
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        while await admin.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1", name
        ):
            await asyncio.sleep(0.005)
        await admin.execute(f'ALTER DATABASE "{name}" RENAME TO "{old}"')
        await admin.execute(f'ALTER DATABASE "{backup}" RENAME TO "{name}"')


def url_of(stand: Stand, database: str) -> str:
    return f"{stand.settings.database_url.rpartition('/')[0]}/{database}"


@asynccontextmanager
async def started(stand: Stand, *, database: str = "", **more: Any) -> AsyncIterator[Runtime]:
    """The same service once more, as a process that starts, on that database."""
    url = url_of(stand, database) if database else stand.settings.database_url
    settings = stand.settings.model_copy(update={"database_url": url, **more})
    async with open_runtime(stand.runtime.service, settings) as runtime:
        yield runtime


@dataclass
class Person:
    """Somebody with a row in every table."""

    id: UUID
    filling: rows.Filling


async def somebody(stand: Stand) -> Person:
    """A row in every table that names people; of privacy's, in those that are not about erasures."""
    filling = rows.Filling(uuid4())
    catalogue = stand.runtime.service.catalogue
    async with stand.runtime.db.engine.begin() as connection:
        if "broadcast" not in catalogue.metadata.tables:
            filling = await rows.fill(connection, catalogue, filling.person)
        else:  # a made-up position would be a broken ledger
            await connection.exec_driver_sql(
                f"INSERT INTO data_subject (id) VALUES ('{filling.person}')"
            )
            for table in catalogue.metadata.sorted_tables:
                if not reaches(table, "broadcast"):
                    for roles in making._roles(table, filling.person, None):
                        personal = {
                            c.name for c in table.columns if isinstance(c.info[KEY], Personal)
                        }
                        await making._row(connection, filling, table, roles, wanted=personal)
    filling.tokens = {  # words of closed lists are everybody's
        token: where
        for token, where in filling.tokens.items()
        if token.startswith("zq") or not token.isascii()
    }
    return Person(filling.person, filling)


def reaches(table: Table, name: str) -> bool:
    """Whether rows there refer to that table, or to some that do."""
    parents = {key.column.table for key in table.foreign_keys} - {table}
    return table.name == name or any(reaches(parent, name) for parent in parents)


async def left(url: str, person: Person) -> set[str]:
    """The columns in which something of the person is found."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "SELECT oid::regclass::text AS name FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        found = "\n".join(
            [
                row["row"]
                for table in tables
                for row in await connection.fetch(f"SELECT t::text AS row FROM {table['name']} t")
            ]
        )
    finally:
        await connection.close()
    return {where for token, where in person.filling.tokens.items() if token in found}


@dataclass
class Callers:
    """Two who ask for a person without pause: at the HTTP door, and in the process itself."""

    stand: Stand
    person: Person
    answers: list[tuple[int, str]] = field(default_factory=list)
    told: list[tuple[int, str]] = field(default_factory=list)
    """Answers that had something of the person in them."""
    seen: list[bool] = field(default_factory=list)
    """Whether each transaction found the person alive."""

    @asynccontextmanager
    async def asking(self) -> AsyncIterator["Callers"]:
        tasks = [asyncio.create_task(self._ask()) for _ in range(3)]
        tasks.append(asyncio.create_task(self._look()))
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self) -> None:
        while True:
            answer = await held(self.stand, self.person)
            self.answers.append(answer)
            if any(token in answer[1] for token in self.person.filling.tokens):
                self.told.append(answer)
            await asyncio.sleep(0.002)

    async def _look(self) -> None:
        statement = f"SELECT erased_at IS NULL FROM data_subject WHERE id = '{self.person.id}'"
        while True:
            try:
                async with self.stand.runtime.db.transaction() as session:
                    connection = await session.connection()
                    self.seen.append(bool((await connection.exec_driver_sql(statement)).scalar()))
            except Exception:  # noqa: BLE001 - refused is what it should be
                pass
            await asyncio.sleep(0.002)


async def held(stand: Stand, person: Person) -> tuple[int, str]:
    """What the service's own door says that it holds about the person."""
    answer = await stand.client.get(
        f"/internal/subjects/{person.id}", headers=stand.token(scopes=[SCOPE])
    )
    return answer.status_code, answer.text


async def forgotten(stand: Stand, person: Person) -> None:
    """Wait until the person has a tombstone in whatever database answers now."""
    for _ in range(1000):
        try:
            if await stand.rows(
                "SELECT FROM data_subject WHERE id = $1 AND erased_at IS NOT NULL", person.id
            ):
                return
        except (OSError, asyncpg.PostgresError):
            pass
        await asyncio.sleep(0.02)
    raise AssertionError("not forgotten again")


async def ready(stand: Stand, *, seconds: float = 20) -> None:
    for _ in range(int(seconds * 50)):
        if await stand.runtime.not_ready() is None:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(await stand.runtime.not_ready())


async def said_not_ready(stand: Stand, words: str, *, seconds: float = 10) -> str:
    """The reason of the first answer at the door of readiness that has these words."""
    text = ""
    for _ in range(int(seconds * 50)):
        answer = await stand.client.get("/health/ready")
        text = answer.text
        if answer.status_code == 503 and words in text:
            return text
        await asyncio.sleep(0.02)
    raise AssertionError(f"{words!r} was not said, but {text!r}")


async def epoch(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        last = await connection.fetchval(
            "SELECT last FROM aggregate_sequence WHERE aggregate = 'epoch'"
        )
        return int(last or 0) >> 40
    finally:
        await connection.close()


def copies(stand: Stand) -> Path:
    return Path(urlsplit(stand.settings.ledger_url).path)


def copy_of(stand: Stand, position: int) -> Path:
    return copies(stand) / f"{position:012d}.json"


def sequences(stand: Stand, event: type[Event], **fields: Any) -> list[int]:
    """The sequences under which such an event was heard."""
    return [
        envelope["sequence"]
        for envelope in stand.heard
        if envelope["type"] == event.event_type()
        and all(str(envelope["data"].get(k)) == str(v) for k, v in fields.items())
    ]


def parsed(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found
