"""TLS for real: with the right authority a connection is made, with another one or another name not."""

import asyncio
import os
import secrets
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx2
import pytest
from aio_pika.exceptions import AMQPConnectionError
from sqlalchemy import text

from chassis import bus, migrations, relay, topology
from chassis.addresses import verified_broker, verified_database
from chassis.bus import Publisher
from chassis.db import Database
from chassis.restore import Restoration
from cli.doctor import broker, databases
from cli.doctor.sources import Sources
from deploy.local import binaries, private_postgres
from services.notifications.wiring import SERVICE
from tests.certificates import NAME, Certificates, SecureBroker

REFUSED = (ssl.SSLError, OSError, AMQPConnectionError, httpx2.ConnectError)
"""How the clients say that they do not believe a server."""


# --- PostgreSQL


@pytest.fixture(scope="module")
def database(servers: SimpleNamespace) -> Iterator[SimpleNamespace]:
    """A server that speaks TLS and nothing else: its address, by the name in its certificate."""
    # Where the servers of this run may read: they run as somebody else.
    folder = Path(os.environ["CCIB_TEST_FOLDER"]) / f"tls-{secrets.token_hex(4)}"
    shown = Certificates.make(folder / "certificates")
    server, url, _ = _in_a_thread(folder)

    async def begin() -> None:
        connection = await asyncpg.connect(url)
        for name, value in (
            ("ssl", "on"),
            ("ssl_cert_file", shown.certificate),
            ("ssl_key_file", shown.key),
        ):
            await connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        data = Path(await connection.fetchval("SHOW data_directory"))
        (data / "pg_hba.conf").write_text("hostssl all all all scram-sha-256\n")
        await connection.execute("CREATE DATABASE notifications")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()
        for _ in range(100):  # until it has read it
            try:
                plain = await asyncpg.connect(url, ssl="disable")
            except asyncpg.InvalidAuthorizationSpecificationError:
                return
            await plain.close()
            await asyncio.sleep(0.05)
        raise AssertionError("it still speaks to clients without TLS")

    binaries.run(begin())
    where = url.replace("127.0.0.1", NAME).removesuffix("postgres") + "notifications"
    wrong = Certificates.make(folder / "others").ca
    yield SimpleNamespace(url=where, ca=shown.ca, wrong_ca=wrong)
    server.end()


class _Kept(threading.Thread):
    """Holds the server: it dies with the thread that started it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.ready, self.over = folder, threading.Event(), threading.Event()
        self.made: Any = None

    def run(self) -> None:
        place = self.folder / "server"
        (place / "logs").mkdir(parents=True)
        server, *rest = private_postgres.server(
            directory=place, folder=binaries.place(place), durable=False
        )
        server.start()
        try:
            server.wait()
            self.made = rest
            self.ready.set()
            self.over.wait()
        finally:
            self.ready.set()
            server.stop()

    def end(self) -> None:
        self.over.set()
        self.join()


def _in_a_thread(folder: Path) -> tuple[_Kept, str, str]:
    kept = _Kept(folder)
    kept.start()
    kept.ready.wait(60)
    assert kept.made, "PostgreSQL did not start"
    return kept, *kept.made


async def _by_engine(url: str) -> bool:
    db = Database(url, service="notifications")
    try:
        async with db.engine.connect() as one, db.locks.connect() as other:
            asked = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            return bool(await one.scalar(asked)) and bool(await other.scalar(asked))
    finally:
        await db.dispose()


async def _by_relay(url: str) -> bool:
    db = Database(url, service="notifications")
    try:
        async with relay._connection(db) as connection:
            return await _encrypted(connection)
    finally:
        await db.dispose()


async def _by_gate(url: str) -> bool:
    eraser: Any = SimpleNamespace(catalogue=SERVICE.catalogue)
    ledger: Any = None
    async with Restoration(url=url, ledger=ledger, eraser=eraser)._connection() as connection:
        return await _encrypted(connection)


async def _by_migrations(url: str) -> bool:
    folder = Path("services/notifications/migrations")
    await asyncio.to_thread(migrations.upgrade, folder, SERVICE.catalogue.metadata, url)
    return True  # the server speaks nothing else


async def _by_doctor(url: str) -> bool:
    read = await databases.examine("notifications", url, [], Sources())
    if not read.answers:
        raise ConnectionError
    return True


async def _encrypted(connection: asyncpg.Connection) -> bool:
    return bool(
        await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    )


OPENERS = [_by_engine, _by_relay, _by_gate, _by_migrations, _by_doctor]


@pytest.mark.parametrize("opened", OPENERS)
async def test_a_database_is_believed_by_its_authority_and_its_name_alone(
    opened: Callable[[str], Awaitable[bool]], database: SimpleNamespace
) -> None:
    assert await opened(verified_database(database.url, database.ca))
    with pytest.raises(REFUSED):
        await opened(verified_database(database.url, database.wrong_ca))
    with pytest.raises(REFUSED):
        await opened(verified_database(database.url.replace(NAME, "127.0.0.1"), database.ca))


async def test_a_database_without_tls_is_not_spoken_to(
    database: SimpleNamespace, servers: SimpleNamespace
) -> None:
    plain = verified_database(servers.postgres_url.replace("127.0.0.1", NAME), database.ca)
    with pytest.raises(REFUSED):
        await _by_engine(plain)
    # Also where the address itself would allow it.
    with pytest.raises(REFUSED):
        await _by_engine(verified_database(f"{plain}&sslmode=prefer", database.ca))


# --- the broker


@pytest.fixture(scope="module")
def secured(servers: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The broker's doors with TLS, of the servers of this run."""
    if not hasattr(servers, "secure_amqp_url"):
        pytest.fail(
            "the broker of this run was given, and shows no certificate: let the tests start their "
            "own (RabbitMQ's binaries), without CCIB_AMQP_URL and without Docker"
        )
    wrong = Certificates.make(tmp_path_factory.mktemp("others")).ca
    return SimpleNamespace(
        amqp=servers.secure_amqp_url,
        management=servers.secure_management_url,
        ca=Path(servers.broker_ca),
        wrong_ca=wrong,
        plain=servers.amqp_url,
    )


async def _by_connection(url: str) -> None:
    async with await bus.connect(url, purpose="test") as connection:
        await connection.channel()


async def _by_publisher(url: str) -> None:
    async with await Publisher.open(url):
        pass


@pytest.mark.parametrize("opened", [_by_connection, _by_publisher])
async def test_a_broker_is_believed_by_its_authority_and_its_name_alone(
    opened: Callable[[str], Awaitable[None]], secured: SimpleNamespace
) -> None:
    await opened(verified_broker(secured.amqp, secured.ca))
    for url in (
        verified_broker(secured.amqp, secured.wrong_ca),
        verified_broker(secured.amqp.replace(NAME, "127.0.0.1"), secured.ca),
        # Told by the address not to look, and a door that speaks plainly.
        verified_broker(f"{secured.amqp}?no_verify_ssl=1", secured.wrong_ca),
        verified_broker(secured.plain.replace("127.0.0.1", NAME), secured.ca),
    ):
        with pytest.raises(REFUSED):
            await opened(url)


@pytest.fixture
async def vhost(servers: SimpleNamespace) -> AsyncIterator[str]:
    name = f"t{secrets.token_hex(5)}"
    yield name
    async with httpx2.AsyncClient(base_url=servers.management_url) as client:
        await client.delete(f"/api/vhosts/{name}")


async def test_the_brokers_administration_is_believed_in_the_same_way(
    secured: SimpleNamespace, vhost: str
) -> None:
    wanted = {"vhosts": [{"name": vhost}]}
    await topology.apply(verified_broker(secured.management, secured.ca), wanted)
    for url in (
        verified_broker(secured.management, secured.wrong_ca),
        verified_broker(secured.management.replace(NAME, "127.0.0.1"), secured.ca),
    ):
        with pytest.raises(REFUSED):
            await topology.apply(url, wanted)


async def test_the_doctor_asks_the_administration_over_tls(secured: SimpleNamespace) -> None:
    at = verified_broker(secured.management, None).replace("http://", "https://")
    assert (await broker.examine(Sources(management=at, management_ca=secured.ca))).answers
    heard = await broker.examine(Sources(management=at, management_ca=secured.wrong_ca))
    assert not heard.answers


def test_the_settings_of_the_broker_name_every_file(tmp_path: Path) -> None:
    """What this file calls a secure broker is one: both doors show the certificate."""
    secure = SecureBroker.prepare(tmp_path)
    lines = secure.settings
    assert lines.count(str(secure.certificates.certificate)) == 2
    assert urlsplit(secure.addresses("amqp://a:b@127.0.0.1:1/")["secure_amqp_url"]).hostname == NAME
