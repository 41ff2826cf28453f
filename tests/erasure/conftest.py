import asyncio
import importlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from chassis.db import Database
from chassis.migrations import upgrade
from deploy.local.layout import REPOSITORY
from tests.erasure import toy
from tests.erasure.shelf import Shelf, a_shelf, make_database

WIRED = sorted(path.parent.name for path in REPOSITORY.glob("services/*/wiring.py"))


@pytest.fixture(scope="package")
async def template(servers: SimpleNamespace) -> str:
    """A database with the toy's tables, to copy."""
    url = await make_database(servers.postgres_url, f"toy_{secrets.token_hex(4)}")
    db = Database(url, service="toy")
    async with db.engine.begin() as connection:
        await connection.run_sync(toy.METADATA.create_all)
    await db.dispose()
    return url.rpartition("/")[2]


@pytest.fixture
async def own(servers: SimpleNamespace, template: str, tmp_path: Path) -> AsyncIterator[Shelf]:
    """The toy with a database of its own, to be spoilt."""
    name = f"{template}_{secrets.token_hex(4)}"
    url = await make_database(servers.postgres_url, name, template=template)
    async with a_shelf(url=url, catalogue=toy.catalogue, rules=toy.RULES, folder=tmp_path) as made:
        yield made


@pytest.fixture(scope="package")
async def common(
    servers: SimpleNamespace, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shelf]:
    """The toy with one database for all tests that leave it as it was, but for people."""
    url = await make_database(servers.postgres_url, f"{template}_common", template=template)
    folder = tmp_path_factory.mktemp("common")
    async with a_shelf(url=url, catalogue=toy.catalogue, rules=toy.RULES, folder=folder) as made:
        yield made


@pytest.fixture(scope="package", params=["toy", *WIRED])
async def shelf(
    request: pytest.FixtureRequest,
    servers: SimpleNamespace,
    template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Shelf]:
    """Each service of the platform, with the tables that its migrations make; and the toy."""
    folder = tmp_path_factory.mktemp(request.param)
    name = f"erasure_{request.param}_{secrets.token_hex(4)}"
    if request.param == "toy":
        url = await make_database(servers.postgres_url, name, template=template)
        catalogue, rules = toy.catalogue, toy.RULES
    else:
        wired = importlib.import_module(f"services.{request.param}.wiring").SERVICE
        url = await make_database(servers.postgres_url, name)
        migrations = REPOSITORY / "services" / wired.name / "migrations"
        await asyncio.to_thread(upgrade, migrations, wired.catalogue.metadata, url)
        catalogue, rules = wired.catalogue, wired.rules
    async with a_shelf(url=url, catalogue=catalogue, rules=rules, folder=folder) as made:
        yield made
