"""One service's password opens nothing of another service's, in PostgreSQL and on the broker."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import permutations
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import asyncpg
import pytest
from aio_pika.exceptions import AMQPError
from sqlalchemy import MetaData

from chassis import rights, topology
from chassis.bus import connect
from chassis.db import engine
from deploy.local.layout import SERVICES
from deploy.local.provision import database_urls, make_databases, owner_role

PAIRS = list(permutations(SERVICES, 2))


@pytest.fixture(scope="module")
async def databases(servers: SimpleNamespace) -> AsyncIterator[dict[str, str]]:
    """Databases as a stack gets them, under names of their own, each with a row; URLs by service."""
    mark = f"t{secrets.token_hex(4)}"
    passwords = {f"{mark}_{service}": secrets.token_hex(16) for service in SERVICES}
    make_databases(servers.postgres_url, passwords, owners=passwords, fresh=False)
    made = database_urls(servers.postgres_url, passwords)
    owned = database_urls(servers.postgres_url, passwords, role=owner_role)
    urls = {service: made[f"{mark}_{service}"] for service in SERVICES}
    for service in SERVICES:
        owner = owned[f"{mark}_{service}"]
        await _run(
            owner,
            "CREATE TABLE alembic_version (version_num text); CREATE TABLE kept (secret text);"
            " INSERT INTO kept VALUES ('a name')",
        )
        opened = engine(owner)
        async with opened.begin() as connection:
            await rights.grant(connection, _role(urls[service]), MetaData())
        await opened.dispose()
    yield urls
    for service in SERVICES:
        name = f"ccib_{mark}_{service}"
        await _run(servers.postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')
        await _run(servers.postgres_url, f'DROP ROLE "{name}", "{name}_owner"')


async def _run(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url, timeout=20)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def _role(url: str) -> str:
    return str(urlsplit(url).username)


def _entering(url: str, database: str) -> str:
    """The same role, at the door of another database."""
    return urlsplit(url)._replace(path=f"/{database}").geturl()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_reads_its_own_database(databases: dict[str, str], service: str) -> None:
    await _run(databases[service], "SELECT secret FROM kept")


@pytest.mark.parametrize(("service", "other"), PAIRS)
async def test_a_service_cannot_enter_the_database_of_another(
    databases: dict[str, str], service: str, other: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
        await _run(_entering(databases[service], _role(databases[other])), "SELECT 1")


@pytest.mark.parametrize("service", SERVICES)
async def test_the_role_of_a_service_has_no_right_beyond_its_database(
    databases: dict[str, str], servers: SimpleNamespace, service: str
) -> None:
    connection = await asyncpg.connect(servers.postgres_url)
    try:
        role = await connection.fetchrow(
            "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, (SELECT"
            " count(*) FROM pg_auth_members WHERE member = r.oid) AS memberships"
            " FROM pg_roles r WHERE rolname = $1",
            _role(databases[service]),
        )
    finally:
        await connection.close()
    assert not any(role.values()), dict(role)


_DENIED = {
    "another role": "CREATE ROLE somebody LOGIN PASSWORD 'x'",
    "another database": "CREATE DATABASE elsewhere",
    "more rights": "ALTER ROLE CURRENT_USER SUPERUSER",
    "the other's role": 'SET ROLE "{other}"',
    "the other's password": "ALTER ROLE \"{other}\" PASSWORD 'x'",
    "rights from the other": 'GRANT "{other}" TO CURRENT_USER',
    "the way into the other's database": 'GRANT CONNECT ON DATABASE "{other}" TO CURRENT_USER',
    "the passwords": "SELECT rolpassword FROM pg_authid",
    "files of the server": "SELECT pg_read_file('postgresql.conf')",
    "commands on the server": "COPY (SELECT 1) TO PROGRAM 'cat'",
    "the network": "CREATE EXTENSION dblink",
    "the server's settings": "ALTER SYSTEM SET log_statement = 'all'",
    "its own tables' owner": 'SET ROLE "{own}_owner"',
}


@pytest.mark.parametrize("sql", _DENIED.values(), ids=_DENIED)
async def test_a_service_cannot_take(
    databases: dict[str, str], servers: SimpleNamespace, sql: str
) -> None:
    other = _role(databases["identity"])
    refusals = (
        asyncpg.InsufficientPrivilegeError,
        asyncpg.UndefinedFileError,  # an extension whose files are not even installed
        asyncpg.FeatureNotSupportedError,
    )
    maintenance = urlsplit(servers.postgres_url).path[1:]
    for url in (databases["directory"], _entering(databases["directory"], maintenance)):
        with pytest.raises(refusals):
            await _run(url, sql.format(other=other, own=_role(databases["directory"])))


async def test_what_others_ask_of_the_same_server_is_hidden(databases: dict[str, str]) -> None:
    """The text of a statement may hold data: PostgreSQL shows it to its own role only."""
    watching = await asyncpg.connect(databases["directory"])
    speaking = await asyncpg.connect(databases["identity"])
    try:
        await speaking.fetch("SELECT 'a secret of identity'")
        shown = await watching.fetch("SELECT query FROM pg_stat_activity")
        assert not [row for row in shown if "a secret of identity" in (row["query"] or "")]
    finally:
        await watching.close()
        await speaking.close()


@pytest.fixture(scope="module")
async def lines(servers: SimpleNamespace) -> dict[str, str]:
    """A virtual host as a stack gets it; each service's own URL."""
    vhost = f"t{secrets.token_hex(4)}"
    passwords = {service: secrets.token_hex(16) for service in SERVICES}
    consumes = {service: [] for service in SERVICES}
    wanted = topology.definitions(
        vhost=vhost, prefix=f"{vhost}-", passwords=passwords, consumes=consumes
    )
    await topology.apply(servers.management_url, wanted)
    where = urlsplit(servers.amqp_url)
    return {
        service: f"amqp://{vhost}-{service}:{secret}@{where.hostname}:{where.port}/{vhost}"
        for service, secret in passwords.items()
    }


def _queues(service: str) -> Iterator[str]:
    yield from (f"{service}.{queue}" for queue in ("events", "erasure", "dead"))
    if service == "privacy":
        yield "privacy.acks"


_ATTEMPTS: dict[str, Callable[[aio_pika.abc.AbstractQueue], Awaitable[Any]]] = {
    "consume": lambda queue: queue.consume(print),
    "get": lambda queue: queue.get(fail=False),
    "purge": lambda queue: queue.purge(),
    "delete": lambda queue: queue.delete(),
    "bind": lambda queue: queue.bind("ccib.events", "#"),
}


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_reads_its_own_queues_and_no_other(
    lines: dict[str, str], service: str
) -> None:
    async with await connect(lines[service], purpose="test") as connection:

        async def at(name: str, attempt: str) -> None:
            async with await connection.channel() as channel:
                await _ATTEMPTS[attempt](await channel.get_queue(name, ensure=False))

        for owner in SERVICES:
            for name in _queues(owner):
                if owner == service:
                    await at(name, "consume")
                    continue
                for attempt in _ATTEMPTS:
                    with pytest.raises(AMQPError, match="ACCESS_REFUSED"):
                        await at(name, attempt)
