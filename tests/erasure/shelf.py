"""One service's database and eraser, without its doors: what erasure itself is tried on."""

import hashlib
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from joserfc.jwk import ECKey
from sqlalchemy.exc import DBAPIError

from chassis import clock, erasure
from chassis.catalogue import Catalogue
from chassis.db import Database, violated_constraint
from chassis.erasure import Eraser, SharedRule
from chassis.erasure_rows import Tallies
from chassis.evidence import import_key
from chassis.outage import collided
from chassis.storage import Storage
from contracts.privacy import Erase, ErasureSubject, Reason
from tests import rows
from tests.rows import Filling
from tests.stand import copied


@dataclass(kw_only=True)
class Shelf:
    """A database in which people are remembered and forgotten."""

    db: Database
    eraser: Eraser
    folder: Path

    @property
    def catalogue(self) -> Catalogue:
        return self.eraser.catalogue

    async def fill(self, person: UUID | None = None, *, other: UUID | None = None) -> Filling:
        """Rows and files about a person, in every table."""
        async with self.db.engine.begin() as connection:
            filling = await rows.fill(connection, self.catalogue, person or uuid4(), other=other)
        for key in filling.files:
            await self.eraser.storage.put(key, key.encode())
        return filling

    async def erase(self, *people: UUID) -> Tallies:
        """The erasure alone, in a transaction of its own."""
        async with self.db.transaction() as session:
            return await erasure.erase(session, people, self.eraser)

    async def apply(self, command: Erase) -> None:
        """What the consumer does with a command."""
        async with self.db.transaction() as session:
            trouble = await erasure.apply(session, command, self.eraser)
        if trouble is not None:
            raise trouble

    async def deliver(self, command: Erase) -> None:
        """The same, tried again as the consumer does when somebody was in the way."""
        for _ in range(20):
            try:
                return await self.apply(command)
            except DBAPIError as error:
                if not collided(error) and violated_constraint(error) != "pk_applied":
                    raise
        raise AssertionError("the command never got through")

    async def announce(self) -> str:
        """What a service does before it starts; returns the hash of its manifest."""
        async with self.db.transaction() as session:
            return await erasure.announce(session, self.eraser)

    async def dump(self) -> rows.Dump:
        async with self.db.engine.connect() as connection:
            return await rows.dump(connection, self.catalogue)

    async def everything(self) -> str:
        async with self.db.engine.connect() as connection:
            return await rows.everything(connection)

    async def sql(self, *statements: str) -> None:
        """Change the running database behind the service's back, as its administrator."""
        connection = await asyncpg.connect(self.db.url)
        try:
            await connection.execute(";".join(statements))
        finally:
            await connection.close()

    @asynccontextmanager
    async def as_owner(self) -> "AsyncIterator[Shelf]":
        """The same, as a role that owns the tables and is nothing else, as services are."""
        role = f"owner_{secrets.token_hex(4)}"
        await self.sql(
            f"CREATE ROLE {role} LOGIN PASSWORD '{role}'",
            f"GRANT CREATE, USAGE ON SCHEMA public TO {role}",
            *(f'ALTER TABLE "{name}" OWNER TO {role}' for name in self.catalogue.metadata.tables),
        )
        place = self.db.url.rpartition("@")[2]
        db = Database(f"postgresql://{role}:{role}@{place}", service=self.db.service)
        try:
            yield replace(self, db=db)
        finally:
            await db.dispose()

    async def value(self, statement: str) -> Any:
        async with self.db.engine.connect() as connection:
            return (await connection.exec_driver_sql(statement)).scalar()

    def files(self) -> set[str]:
        """Every byte of every stored file."""
        return {path.read_text() for path in self.folder.rglob("*") if path.is_file()}


def a_command(*people: UUID, position: int | None = None, **more: Any) -> Erase:
    """An erasure of these people, at a position of its own."""
    position = position or secrets.randbelow(10**9) + 1
    return Erase(
        broadcast_id=uuid4(),
        position=position,
        entry_hash=more.get("entry_hash") or hashlib.sha256(str(position).encode()).hexdigest(),
        due_by=clock.now() + timedelta(days=30),
        reason=Reason.CANARY,
        subjects=tuple(ErasureSubject(erasure_id=uuid4(), subject_id=one) for one in people),
    )


@asynccontextmanager
async def a_shelf(
    *, url: str, catalogue: Catalogue, rules: Mapping[str, SharedRule], folder: Path
) -> AsyncIterator[Shelf]:
    """The means to erase in a database that is there."""
    db = Database(url, service=catalogue.service, pool=30)
    eraser = Eraser(
        catalogue=catalogue,
        storage=Storage(folder.as_uri()),
        key=import_key(ECKey.generate_key("P-256").as_pem(private=True)),
        rules=rules,
    )
    try:
        yield Shelf(db=db, eraser=eraser, folder=folder)
    finally:
        await db.dispose()


async def make_database(postgres_url: str, name: str, *, template: str = "template1") -> str:
    """Create a database; returns its URL."""
    connection = await asyncpg.connect(postgres_url)
    try:
        await copied(connection, name, template=template)
    finally:
        await connection.close()
    return f"{postgres_url.rpartition('/')[0]}/{name}"
