"""What the migrations make is what the models declare: columns, comments, constraints, indexes."""

import asyncio
import secrets
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import asyncpg
import pytest
from alembic import command

from chassis import migrations
from chassis.service import Service

SERVICES = sorted(path.parent.name for path in Path("services").glob("*/wiring.py"))


@pytest.mark.parametrize("service", SERVICES)
async def test_the_migrations_make_what_the_models_declare(
    service: str, servers: SimpleNamespace
) -> None:
    wired: Service = import_module(f"services.{service}.wiring").SERVICE
    name = f"m{secrets.token_hex(5)}"
    connection = await asyncpg.connect(servers.postgres_url)
    try:
        await connection.execute(f'create database "{name}"')
    finally:
        await connection.close()
    folder = Path("services") / service / "migrations"
    url = f"{servers.postgres_url.rpartition('/')[0]}/{name}"
    metadata = wired.catalogue.metadata
    await asyncio.to_thread(migrations.upgrade, folder, metadata, url)
    # Raises when a new revision would not be empty.
    await asyncio.to_thread(command.check, migrations._config(folder, metadata, url))
