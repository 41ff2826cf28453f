"""Databases, roles, the virtual host and what is in it: made when missing, left when there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import httpx2

from deploy.local import binaries
from deploy.local.backing import Servers
from deploy.local.errors import ProvisioningFailed

VHOST = "ccib"
MADE_BY = "made by `make run` of CCI Business"


def database_urls(
    postgres_url: str, passwords: Mapping[str, str], *, role: Callable[[str], str] | None = None
) -> dict[str, str]:
    """Each service's own database, by its runtime role or by another `role` of it (`owner_role`)."""
    named = role or runtime_role
    return {
        service: _with_user(
            postgres_url, user=named(service), secret=secret, path=f"/{database(service)}"
        )
        for service, secret in passwords.items()
    }


def database(service: str) -> str:
    """The name of a service's database."""
    return f"ccib_{service}"


def runtime_role(service: str) -> str:
    """Who a service logs in as: it works with rows, and changes no table."""
    return f"ccib_{service}"


def owner_role(service: str) -> str:
    """Who its migrations log in as: the owner of the tables."""
    return f"ccib_{service}_owner"


def amqp_url(servers: Servers, *, user: str, secret: str, vhost: str = VHOST) -> str:
    """A client's URL: a heartbeat that notices a dead peer, and a quick reconnection."""
    url = _with_user(servers.amqp_url, user=user, secret=secret, path=f"/{vhost}")
    return f"{url}?heartbeat=10&reconnect_interval=1"


def make_databases(
    postgres_url: str,
    passwords: Mapping[str, str],
    *,
    owners: Mapping[str, str],
    fresh: bool,
) -> None:
    """One database and two roles per service; neither can enter another's database.

    `passwords` are the runtime roles', `owners` those of the owners. `fresh` drops the databases that
    an earlier run of ours made; one whose tables still belong to the runtime role is given to its
    owner. What the runtime role may do is granted by the migrations.
    """

    async def make() -> None:
        connection = await asyncpg.connect(postgres_url, timeout=10)
        try:
            for service, secret in passwords.items():
                await _make_role(connection, runtime_role(service), secret=secret)
                await _make_role(connection, owner_role(service), secret=owners[service])
                if await _make_database(connection, service=service, fresh=fresh):
                    await _give_over(postgres_url, service=service)
        finally:
            await connection.close()

    try:
        binaries.run(make())
    except asyncpg.PostgresError as error:
        raise ProvisioningFailed(f"PostgreSQL refused to make the databases: {error}") from error


async def _make_role(connection: asyncpg.Connection, name: str, *, secret: str) -> None:
    exists = await connection.fetchval("select 1 from pg_roles where rolname = $1", name)
    verb = "alter" if exists else "create"
    # Our own names and a random base64url secret: nothing to quote. Utility statements take no
    # parameters.
    await connection.execute(f"{verb} role \"{name}\" login password '{secret}'")
    if not exists:
        await connection.execute(f'grant "{name}" to current_user')


async def _make_database(connection: asyncpg.Connection, *, service: str, fresh: bool) -> bool:
    """Make it when it is missing; returns whether it was there, and belongs to somebody else."""
    name, owner = database(service), owner_role(service)
    exists = await connection.fetchval("select oid from pg_database where datname = $1", name)
    if exists and fresh:
        comment = await connection.fetchval(
            "select shobj_description($1::oid, 'pg_database')", exists
        )
        if comment != MADE_BY:
            raise ProvisioningFailed(
                f"the database {name} was not made by this stack and is not dropped: "
                "drop it yourself, or use another server"
            )
        await connection.execute(f'drop database "{name}" with (force)')
        exists = None
    if not exists:
        await connection.execute(f'create database "{name}" owner "{owner}"')
        await connection.execute(f"comment on database \"{name}\" is '{MADE_BY}'")
    theirs = await connection.fetchval(
        "select pg_get_userbyid(datdba) from pg_database where datname = $1", name
    )
    await connection.execute(f'revoke all on database "{name}" from public')
    await connection.execute(f'grant connect on database "{name}" to "{runtime_role(service)}"')
    return bool(theirs != owner)


async def _give_over(postgres_url: str, *, service: str) -> None:
    """Give a database of an earlier release, and all in it, from the runtime role to its owner."""
    name, owner = database(service), owner_role(service)
    inside = urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
    connection = await asyncpg.connect(inside, timeout=10)
    try:
        await connection.execute(f'reassign owned by "{runtime_role(service)}" to "{owner}"')
        await connection.execute(f'alter database "{name}" owner to "{owner}"')
        await connection.execute(f'grant connect on database "{name}" to "{runtime_role(service)}"')
    finally:
        await connection.close()


def provision_broker(servers: Servers, definitions: Mapping[str, Any]) -> None:
    """Import definitions (users, permissions, exchanges, queues, bindings, policies).

    What exists already and is equal is left alone; what differs in an argument that cannot be
    changed is refused by the broker: ProvisioningFailed says which.
    """
    with httpx2.Client(base_url=servers.management_url, timeout=30) as management:
        for vhost in definitions.get("vhosts", []):
            _expect(management.put(f"/api/vhosts/{quote(vhost['name'], safe='')}", json={}))
        _expect(management.post("/api/definitions", json=dict(definitions)))


def make_vhost(servers: Servers, *, fresh: bool, vhost: str = VHOST) -> None:
    """Make the virtual host, and let the administrator in."""
    admin = quote(urlsplit(servers.amqp_url).username or "guest", safe="")
    with httpx2.Client(base_url=servers.management_url, timeout=30) as management:
        if fresh:
            _expect(management.delete(f"/api/vhosts/{vhost}"), also=404)
        _expect(management.put(f"/api/vhosts/{vhost}", json={}))
        _expect(
            management.put(
                f"/api/permissions/{vhost}/{admin}",
                json={"configure": ".*", "write": ".*", "read": ".*"},
            )
        )


def _expect(answer: httpx2.Response, *, also: int = 200) -> None:
    if not answer.is_success and answer.status_code != also:
        raise ProvisioningFailed(
            f"RabbitMQ refused {answer.request.method} {answer.request.url.path}: "
            f"{answer.status_code} {answer.text[:500]}"
        )


def _with_user(url: str, *, user: str, secret: str, path: str) -> str:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, f"{user}:{secret}@{place}", path, "", ""))
