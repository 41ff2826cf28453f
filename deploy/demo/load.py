"""Write the demo into the services' databases: COPY, one transaction per service.

Before it ends, each table is vacuumed and analysed: the first page is planned with statistics, and
the first search finds its index in order.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import asyncpg

from deploy.demo.generate import COMPANIES, generate
from deploy.demo.records import Company
from deploy.demo.writers import Occasion, Writer
from deploy.demo.writers.consultations import Consultations
from deploy.demo.writers.directory import Directory
from deploy.demo.writers.identity import Identity
from deploy.demo.writers.notifications import Notifications
from deploy.demo.writers.privacy import Privacy

WRITERS: dict[str, type[Writer]] = {
    "identity": Identity,
    "directory": Directory,
    "consultations": Consultations,
    "privacy": Privacy,
    "notifications": Notifications,
}
CHUNK = 20_000  # records held before they are copied
MARK = "demo data: "
CONNECTING = {"timeout": 10, "server_settings": {"lock_timeout": "60s"}}
"""To asyncpg: nobody is waited for for ever, neither a server nor another who writes."""


class SeedRefusedError(Exception):
    """The demo does not go into these databases: somebody, or another demo, is in them already."""


class Mark(NamedTuple):
    """What a seeded database says about itself, in the comment of its schema."""

    seed: int
    companies: int
    now: str


@dataclass(slots=True)
class Target:
    """One service's database while its transaction is open."""

    service: str
    connection: asyncpg.Connection
    writer: Writer
    waiting: dict[str, list[Mapping[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    written: int = 0

    async def flush(self) -> None:
        for table in self.writer.tables:
            rows = self.waiting.pop(table, [])
            if not rows:
                continue
            columns = list(rows[0])
            repeated = table in self.writer.repeated
            await self.connection.copy_records_to_table(
                _waiting(table) if repeated else table,
                columns=columns,
                records=[tuple(row[column] for column in columns) for row in rows],
            )
            self.written += await self._take_in(table, columns) if repeated else len(rows)

    async def open(self) -> None:
        """Make places for rows that may come twice."""
        for table in self.writer.repeated:
            await self.connection.execute(
                f"create temp table {_waiting(table)} as select * from {table} with no data"  # noqa: S608
            )

    async def _take_in(self, table: str, columns: Sequence[str]) -> int:
        """Move what waits into its table; what is there already stays as it is."""
        names = ", ".join(columns)
        done: str = await self.connection.execute(
            f"insert into {table} ({names}) select {names} from {_waiting(table)}"  # noqa: S608
            " on conflict do nothing"
        )
        await self.connection.execute(f"truncate {_waiting(table)}")
        return int(done.rpartition(" ")[2])

    async def settle(self) -> None:
        """After the commit: what autovacuum would do minutes later."""
        await self.connection.execute(f"vacuum (analyze) {', '.join(self.writer.tables)}")


def _waiting(table: str) -> str:
    return f"waiting_{table}"


Progress = Callable[[int, int], None]
"""Told after each chunk: companies drawn, records written."""


async def load(
    *,
    urls: Mapping[str, str],
    now: datetime,
    password_hash: str,
    notice_version: str,
    storage: Mapping[str, str] | None = None,
    companies: int = COMPANIES,
    seed: int = 1,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Fill the databases of `urls` (service → PostgreSQL URL); returns rows written by service.

    Every account of the demo gets `password_hash` and accepted `notice_version`. `storage` (service →
    URL) says where files go; without it there are no photos. A database that was filled with the
    same seed and size is left as it is, so a broken run can be repeated. Raises `SeedRefusedError`
    before anything is written.
    """
    async with AsyncExitStack() as connected:
        connections: dict[str, asyncpg.Connection] = {}
        for service in WRITERS:
            if service in urls:
                connections[service] = await asyncpg.connect(urls[service], **CONNECTING)
                connected.push_async_callback(connections[service].close)
        marks = await _marks(connections)
        instant = _instant(marks, wanted=Mark(seed, companies, now.isoformat()))
        occasion = Occasion(
            now=instant,
            seed=seed,
            password_hash=password_hash,
            notice_version=notice_version,
            storage=storage or {},
        )
        async with AsyncExitStack() as transactions:
            targets = [
                await _open(transactions, service=service, connection=connection, occasion=occasion)
                for service, connection in connections.items()
                if marks[service] is None
            ]
            if targets:
                await _fill(
                    targets,
                    mark=Mark(seed, companies, instant.isoformat()),
                    progress=progress,
                )
        await asyncio.gather(*(target.settle() for target in targets))
        return {target.service: target.written for target in targets}


async def _fill(targets: Sequence[Target], *, mark: Mark, progress: Progress | None) -> None:
    records = generate(
        now=datetime.fromisoformat(mark.now), companies=mark.companies, seed=mark.seed
    )
    companies = 0
    for count, record in enumerate(records, 1):
        companies += isinstance(record, Company)
        for target in targets:
            for table, row in target.writer.rows(record):
                target.waiting[table].append(row)
        if count % CHUNK == 0:
            await asyncio.gather(*(target.flush() for target in targets))
            if progress:
                progress(companies, count)
    await asyncio.gather(*(target.flush() for target in targets))
    await asyncio.gather(*(target.writer.store_files() for target in targets))
    for target in targets:
        await _set_mark(target.connection, mark)


async def _marks(connections: Mapping[str, asyncpg.Connection]) -> dict[str, Mark | None]:
    """Raises `SeedRefusedError` for a database with people that no demo brought."""
    marks = {}
    for service, connection in connections.items():
        marks[service] = await _mark(connection)
        if marks[service] is None and await connection.fetchval(
            "select exists (select from data_subject)"
        ):
            raise SeedRefusedError(f"{service} already holds people that are not of this demo")
    return marks


async def _open(
    stack: AsyncExitStack, *, service: str, connection: asyncpg.Connection, occasion: Occasion
) -> Target:
    """Its transaction commits when the stack closes without an error."""
    await stack.enter_async_context(connection.transaction())
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + json.dumps(value, ensure_ascii=False).encode(),
        decoder=lambda value: json.loads(value[1:]),
        format="binary",
    )
    target = Target(service=service, connection=connection, writer=WRITERS[service](occasion))
    await target.open()
    return target


async def _mark(connection: asyncpg.Connection) -> Mark | None:
    comment = await connection.fetchval(
        "select obj_description('public'::regnamespace, 'pg_namespace')"
    )
    if not (comment or "").startswith(MARK):
        return None
    return Mark(**json.loads(comment.removeprefix(MARK)))


async def _set_mark(connection: asyncpg.Connection, mark: Mark) -> None:
    comment = MARK + json.dumps(mark._asdict())
    literal = await connection.fetchval("select quote_literal($1::text)", comment)
    await connection.execute(f"comment on schema public is {literal}")


def _instant(marks: Mapping[str, Mark | None], *, wanted: Mark) -> datetime:
    """The instant of the demo: the first run's, so that ids agree between the databases."""
    found = {mark for mark in marks.values() if mark}
    for mark in found:
        if mark[:2] != wanted[:2] or len(found) > 1:
            raise SeedRefusedError("the databases hold another demo: start over with fresh ones")
        return datetime.fromisoformat(mark.now).astimezone(UTC)
    return datetime.fromisoformat(wanted.now)
