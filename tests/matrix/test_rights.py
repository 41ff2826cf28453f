"""What the role of a service may do in its own database: work with rows, and nothing to the tables."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from importlib import import_module
from types import SimpleNamespace

import asyncpg
import pytest

from chassis import migrations
from chassis.rights import REFUSED, RightsError
from deploy.local.layout import REPOSITORY, SERVICES
from deploy.local.provision import database_urls, make_databases, owner_role, runtime_role
from services.privacy.models import METADATA

FOLDER = REPOSITORY / "services" / "privacy" / "migrations"


@pytest.fixture(scope="module")
async def made(servers: SimpleNamespace) -> AsyncIterator[SimpleNamespace]:
    """Privacy's database as a stack gets it: by its owner, by its own role, by the administrator."""
    name = f"r{secrets.token_hex(4)}"
    secret = {name: secrets.token_hex(16)}
    found = SimpleNamespace(name=name, secret=secret, admin=servers.postgres_url)
    found.owner = database_urls(servers.postgres_url, secret, role=owner_role)[name]
    found.runtime = database_urls(servers.postgres_url, secret)[name]
    make_databases(servers.postgres_url, secret, owners=secret, fresh=False)
    await migrate(found)
    yield found
    await run(servers.postgres_url, f'DROP DATABASE "ccib_{name}" WITH (FORCE)')
    await run(servers.postgres_url, f'DROP ROLE "{runtime_role(name)}", "{owner_role(name)}"')


async def migrate(made: SimpleNamespace, *, url: str = "", role: str = "") -> None:
    await asyncio.to_thread(
        migrations.upgrade,
        FOLDER,
        METADATA,
        url or made.owner,
        runtime_role=role or runtime_role(made.name),
    )


async def run(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for sql in statements:
            await connection.execute(sql)
    finally:
        await connection.close()


ALLOWED = {
    "rows come": "INSERT INTO data_subject (id) VALUES (gen_random_uuid())",
    "rows change": "UPDATE data_subject SET erased_at = now()",
    "rows are locked": "SELECT FROM data_subject FOR UPDATE",
    "rows go": "DELETE FROM outbox",
    "rows are numbered": "INSERT INTO outbox (event_id, aggregate, slot, exchange, routing_key, body,"
    " created_at) VALUES (gen_random_uuid(), 'a', 1, 'b', 'c', '', now())",
    "the revision is read": "SELECT version_num FROM alembic_version",
}
DENIED = {
    "make a table": "CREATE TABLE diary (who uuid)",
    "make a temporary table": "CREATE TEMP TABLE diary (who uuid)",
    "make a schema": "CREATE SCHEMA attic",
    "make a view": "CREATE VIEW names AS SELECT * FROM outbox",
    "make a function": "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "add a column": "ALTER TABLE erasure ADD COLUMN nickname text",
    "drop a column": "ALTER TABLE erasure DROP COLUMN reason",
    "drop a constraint": "ALTER TABLE erasure DROP CONSTRAINT fk_erasure_subject_id_data_subject",
    "disable triggers": "ALTER TABLE erasure DISABLE TRIGGER ALL",
    "make a trigger": "CREATE TRIGGER t BEFORE DELETE ON erasure FOR EACH ROW EXECUTE FUNCTION"
    " suppress_redundant_updates_trigger()",
    "put constraints to sleep": "SET session_replication_role = replica",
    "make a rule": "CREATE RULE r AS ON DELETE TO erasure DO INSTEAD NOTHING",
    "hide rows": "ALTER TABLE erasure ENABLE ROW LEVEL SECURITY",
    "describe a column otherwise": "COMMENT ON COLUMN erasure.reason IS 'x'",
    "drop a table": "DROP TABLE erasure CASCADE",
    "empty a table": "TRUNCATE erasure CASCADE",
    "go to another revision": "UPDATE alembic_version SET version_num = '0001'",
    "be the owner": 'SET ROLE "{owner}"',
    "take back what was applied": "DELETE FROM applied",
    "change what was applied": "UPDATE applied SET entry_hash = 'x'",
    "shorten the ledger": "DELETE FROM broadcast",
}


@pytest.mark.parametrize("sql", ALLOWED.values(), ids=ALLOWED)
async def test_a_service_works_with_rows(made: SimpleNamespace, sql: str) -> None:
    await run(made.runtime, "BEGIN", sql, "ROLLBACK")


@pytest.mark.parametrize("sql", DENIED.values(), ids=DENIED)
async def test_a_service_cannot(made: SimpleNamespace, sql: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await run(made.runtime, "BEGIN", sql.format(owner=owner_role(made.name)))


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_keeps_what_it_applied(service: str) -> None:
    tables = import_module(f"services.{service}.wiring").SERVICE.catalogue.metadata.tables
    assert tables["applied"].info[REFUSED] == ("UPDATE", "DELETE")


async def test_granting_again_changes_nothing_and_takes_away_what_was_added(
    made: SimpleNamespace,
) -> None:
    async def rights() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(made.owner)
        try:
            return await connection.fetch(
                "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
                " WHERE grantee = $1 ORDER BY 1, 2",
                runtime_role(made.name),
            )
        finally:
            await connection.close()

    before = await rights()
    await migrate(made)
    assert await rights() == before
    await run(made.owner, f'GRANT TRUNCATE ON erasure TO "{runtime_role(made.name)}"')
    await migrate(made)
    assert await rights() == before


async def test_a_table_that_comes_later_is_the_services_too(made: SimpleNamespace) -> None:
    await run(made.owner, "CREATE TABLE later (id bigint GENERATED ALWAYS AS IDENTITY, a text)")
    try:
        await run(made.runtime, "INSERT INTO later (a) VALUES ('b')", "DELETE FROM later")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await run(made.runtime, "TRUNCATE later")
    finally:
        await run(made.owner, "DROP TABLE later")


async def test_roles_that_are_not_fit_are_refused(made: SimpleNamespace) -> None:
    owner, runtime = owner_role(made.name), runtime_role(made.name)
    with pytest.raises(RightsError, match="there is no role nobody_at_all"):
        await migrate(made, role="nobody_at_all")
    with pytest.raises(RightsError, match="is a superuser, or may act as"):
        await migrate(made, role="postgres")
    await run(made.admin, f'GRANT "{owner}" TO "{runtime}"')
    try:
        with pytest.raises(RightsError, match="is a superuser, or may act as"):
            await migrate(made)
    finally:
        await run(made.admin, f'REVOKE "{owner}" FROM "{runtime}"')


async def test_a_database_of_an_earlier_release_is_taken_over(servers: SimpleNamespace) -> None:
    """There the service's own role owned everything."""
    name = f"r{secrets.token_hex(4)}"
    secret = {name: secrets.token_hex(16)}
    runtime, owner = runtime_role(name), owner_role(name)
    await run(
        servers.postgres_url,
        f"CREATE ROLE \"{runtime}\" LOGIN PASSWORD '{secret[name]}'",
        f'CREATE DATABASE "{runtime}" OWNER "{runtime}"',
    )
    found = SimpleNamespace(name=name)
    found.runtime = database_urls(servers.postgres_url, secret)[name]
    found.owner = database_urls(servers.postgres_url, secret, role=owner_role)[name]
    try:
        await asyncio.to_thread(migrations.upgrade, FOLDER, METADATA, found.runtime)
        inside = f"{servers.postgres_url.rpartition('/')[0]}/{runtime}"
        await run(inside, f"CREATE ROLE \"{owner}\" LOGIN PASSWORD '{secret[name]}'")
        with pytest.raises(RightsError, match=f'REASSIGN OWNED BY "{runtime}" TO "{owner}"'):
            await migrate(found)
        for _ in range(2):  # and again, when it is done
            make_databases(servers.postgres_url, secret, owners=secret, fresh=False)
            await migrate(found)
        await run(found.runtime, "INSERT INTO data_subject (id) VALUES (gen_random_uuid())")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await run(found.runtime, "DROP TABLE outbox")
    finally:
        await run(servers.postgres_url, f'DROP DATABASE "{runtime}" WITH (FORCE)')
        await run(servers.postgres_url, f'DROP ROLE "{runtime}", "{owner}"')
