"""Where mutants are tried: each service's database as migrated, a person in every table, no commit."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import live_schema, outbox
from chassis.live_schema import Fact
from chassis.migrations import upgrade
from chassis.service import Service
from contracts.base import Event
from contracts.privacy import Erase
from deploy.local.layout import REPOSITORY, SERVICES
from tests.erasure.shelf import Shelf, a_command, a_shelf, make_database
from tests.rows import Filling


@dataclass(kw_only=True)
class Desk(Shelf):
    """One service: its database, which no mutant changes for good, and two people in it."""

    wired: Service
    facts: list[Fact]
    filling: Filling
    """About the person whom mutants fail to forget."""
    other: Filling
    """About somebody else, with rows that name both."""
    command: Erase
    shared: Filling = field(default_factory=lambda: Filling(uuid4()))

    @property
    def name(self) -> str:
        return self.wired.name

    @property
    def person(self) -> UUID:
        return self.filling.person

    def files_of_person(self) -> dict[str, str]:
        return {**self.filling.files, **self.shared.files}

    async def put_files(self) -> None:
        """An erasure takes files away for good, whatever becomes of its transaction."""
        for key in self.files_of_person():
            await self.eraser.storage.put(key, key.encode())

    @asynccontextmanager
    async def trial(self, *spoiling: str) -> AsyncIterator[AsyncSession]:
        """A session after these statements, all of which is undone."""
        async with (
            AsyncSession(
                self.db.engine, expire_on_commit=False, info={"service": self.name}
            ) as session,
            session.begin() as transaction,
        ):
            if spoiling:
                await session.execute(text("SELECT 1"))  # the driver begins with a statement
                raw = await (await session.connection()).get_raw_connection()
                assert raw.driver_connection is not None
                await raw.driver_connection.execute(";".join(spoiling))
            try:
                yield session
            finally:
                await transaction.rollback()


def published(session: AsyncSession) -> list[Event]:
    """What the session would publish at its commit."""
    return [one.event for one in session.info.get(outbox._PENDING, ())]


@asynccontextmanager
async def desks(postgres_url: str, folder: Path) -> AsyncIterator[dict[str, Desk]]:
    """All five; their databases are removed at the end."""
    person = uuid4()
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(
                _desk(name, postgres_url=postgres_url, folder=folder, person=person)
            )
            for name in SERVICES
        }


@asynccontextmanager
async def _desk(name: str, *, postgres_url: str, folder: Path, person: UUID) -> AsyncIterator[Desk]:
    wired: Service = import_module(f"services.{name}.wiring").SERVICE
    database = f"mutants_{name}_{secrets.token_hex(4)}"
    url = await make_database(postgres_url, database)
    migrations = REPOSITORY / "services" / name / "migrations"
    await asyncio.to_thread(upgrade, migrations, wired.catalogue.metadata, url)
    try:
        async with a_shelf(
            url=url, catalogue=wired.catalogue, rules=wired.rules, folder=folder / name
        ) as shelf:
            yield await _furnish(shelf, wired, person)
    finally:
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(f'DROP DATABASE "{database}" WITH (FORCE)')
        await connection.close()


async def _furnish(shelf: Shelf, wired: Service, person: UUID) -> Desk:
    filling, other = await shelf.fill(person), await shelf.fill()
    shared = await shelf.fill(filling.person, other=other.person)
    async with shelf.db.transaction() as session:
        facts = await live_schema.read(session)
    return Desk(
        db=shelf.db,
        eraser=shelf.eraser,
        folder=shelf.folder,
        wired=wired,
        facts=facts,
        filling=filling,
        other=other,
        shared=shared,
        command=a_command(filling.person),
    )
