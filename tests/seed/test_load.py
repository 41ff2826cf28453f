"""The demo lands in the services' databases as if its people had come through the doors."""

import asyncio
import importlib
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import asyncpg
import pytest

from chassis.migrations import upgrade
from deploy.local.layout import REPOSITORY
from deploy.local.seed.load import WRITERS, SeedRefusedError, load
from services.identity.credentials import hash_password, password_matches

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
PASSWORD = "le mot de passe de la démonstration"
COMPANIES = 600


@pytest.fixture
async def urls(servers: SimpleNamespace) -> AsyncIterator[dict[str, str]]:
    """Migrated, empty databases of every service that the demo fills."""
    prefix = f"seed{secrets.token_hex(4)}"
    root = servers.postgres_url.rpartition("/")[0]
    admin = await asyncpg.connect(servers.postgres_url)
    urls = {service: f"{root}/{prefix}_{service}" for service in WRITERS}
    for service, url in urls.items():
        await admin.execute(f'create database "{prefix}_{service}"')
        catalogue = importlib.import_module(f"services.{service}.models").catalogue
        folder: Path = REPOSITORY / "services" / service / "migrations"
        await asyncio.to_thread(upgrade, folder, catalogue.metadata, url)
    yield urls
    for service in urls:
        await admin.execute(f'drop database "{prefix}_{service}" with (force)')
    await admin.close()


async def fill(urls: dict[str, str], **more: int) -> dict[str, int]:
    return await load(
        urls=urls,
        now=NOW,
        companies=more.get("companies", COMPANIES),
        seed=more.get("seed", 1),
        password_hash=await hash_password(PASSWORD),
        notice_version="2026-01",
    )


async def value(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_the_demo_is_loaded_once_and_a_repeated_run_changes_nothing(
    urls: dict[str, str],
) -> None:
    written = await fill(urls)
    assert written.keys() == urls.keys()
    assert all(count > COMPANIES for count in written.values())
    before = await value(
        urls["identity"], "select md5(string_agg(a::text, '' order by id)) from account a"
    )
    assert await fill(urls) == {}
    after = await value(
        urls["identity"], "select md5(string_agg(a::text, '' order by id)) from account a"
    )
    assert before == after


async def test_a_database_with_other_people_or_another_demo_is_refused(
    urls: dict[str, str],
) -> None:
    connection = await asyncpg.connect(urls["identity"])
    await connection.execute("insert into data_subject (id) values (gen_random_uuid())")
    with pytest.raises(SeedRefusedError, match="identity already holds people"):
        await fill(urls)
    await connection.execute("delete from data_subject")
    await connection.close()
    await fill(urls)
    with pytest.raises(SeedRefusedError, match="another demo"):
        await fill(urls, seed=2)


async def test_the_accounts_of_the_demo_can_be_used(urls: dict[str, str]) -> None:
    await fill(urls)
    connection = await asyncpg.connect(urls["identity"])
    rows = await connection.fetch(
        "select email, state, password_hash, array_agg(role) as roles from account"
        " left join role_grant on account_id = id where email like '%@demo.example' group by id"
    )
    await connection.close()
    assert {row["state"] for row in rows} == {"active"}
    assert {row["email"].split("@")[0]: row["roles"][0] for row in rows} == {
        "membre": None,
        "acheteur": "buyer",
        "animateur": None,
        "conseiller": "agent",
        "dpo": "dpo",
        "exploitant": "operator",
    }
    assert await password_matches(PASSWORD, rows[0]["password_hash"])
