"""A small demo in five real databases, and fresh copies of them."""

import asyncio
import importlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from chassis.migrations import upgrade
from deploy.demo.load import WRITERS, load
from deploy.local.layout import REPOSITORY
from services.identity.credentials import hash_password
from services.privacy.wiring import SERVICE as PRIVACY
from tests.mailbox import Mailbox
from tests.stand import standing

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
PASSWORD = "le mot de passe de la démonstration"
NOTICE = "2026-11"
COMPANIES = 60


async def fill(urls: dict[str, str], **more: Any) -> dict[str, int]:
    return await load(
        urls=urls,
        password_hash=await hash_password(PASSWORD),
        notice_version=NOTICE,
        **{"now": NOW, "companies": COMPANIES, "seed": 1, **more},
    )


async def rows(url: str, sql: str, *arguments: Any) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        found: list[asyncpg.Record] = await connection.fetch(sql, *arguments)
        return found
    finally:
        await connection.close()


async def publish(servers: SimpleNamespace, url: str, mailbox: Mailbox, folder: Path) -> None:
    """Start privacy once on this database: it publishes the notice."""
    async with standing(
        PRIVACY,
        servers=servers,
        folder=folder,
        smtp_url=mailbox.url,
        worker=False,
        database_url=url,
    ):
        pass


@dataclass(frozen=True)
class Databases:
    """Makes databases, which go with the server."""

    postgres_url: str

    async def copy(self, *, of: dict[str, str] | None = None) -> dict[str, str]:
        """One database per service: empty ones, or copies of others that nobody uses now."""
        urls = {}
        for service in WRITERS:
            name = f"seed{secrets.token_hex(4)}_{service}"
            template = of[service].rpartition("/")[2] if of else "template1"
            await rows(self.postgres_url, f'create database "{name}" template "{template}"')
            urls[service] = f"{self.postgres_url.rpartition('/')[0]}/{name}"
        return urls


@dataclass(frozen=True)
class Demo:
    """The demo as it was loaded; nobody writes to these databases afterwards."""

    urls: dict[str, str]
    storage: Path
    written: dict[str, int]

    async def set(self, service: str, sql: str, *arguments: Any) -> set[tuple[Any, ...]]:
        """The rows of a query as a set, for comparing what two services know."""
        found = [tuple(row) for row in await rows(self.urls[service], sql, *arguments)]
        assert len(set(found)) == len(found)
        return set(found)

    async def person(self, local: str) -> UUID:
        """The id of one of the known accounts."""
        sql = "select id from account where email = $1"
        ((found,),) = await rows(self.urls["identity"], sql, f"{local}@demo.example")
        return UUID(str(found))


@pytest.fixture(scope="package")
def databases(servers: SimpleNamespace) -> Databases:
    return Databases(servers.postgres_url)


@pytest.fixture(scope="package")
async def empty(databases: Databases) -> dict[str, str]:
    """Migrated databases without a row, to copy."""
    urls = await databases.copy()
    for service, url in urls.items():
        catalogue = importlib.import_module(f"services.{service}.models").catalogue
        folder = REPOSITORY / "services" / service / "migrations"
        await asyncio.to_thread(upgrade, folder, catalogue.metadata, url)
    return urls


@pytest.fixture
async def urls(databases: Databases, empty: dict[str, str]) -> dict[str, str]:
    """Databases of this test alone."""
    return await databases.copy(of=empty)


@pytest.fixture(scope="package")
async def demo(
    databases: Databases, empty: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Demo:
    urls = await databases.copy(of=empty)
    storage: Path = tmp_path_factory.mktemp("storage")
    written = await fill(urls, storage={"directory": storage.as_uri()})
    return Demo(urls=urls, storage=storage, written=written)
