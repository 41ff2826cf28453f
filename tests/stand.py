"""A stand for one service: its own database and virtual host, the real application, the real worker.

The service runs in the test's own loop and is called through its HTTP door; a second broker user
plays the rest of the platform: it listens to everything and says what others would say.
"""

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import aio_pika
import asyncpg
import httpx2
import uvicorn
from asgi_lifespan import LifespanManager
from fastapi import FastAPI

from chassis import clock, service, topology
from chassis.auth import Role
from chassis.evidence import digest, load_key
from chassis.ids import new_id
from chassis.ledger import NO_PREVIOUS, seal
from chassis.migrations import upgrade
from chassis.service import Runtime, Service
from contracts.base import Event, Kind
from contracts.privacy import Erase, ErasureAcknowledged, Reason
from deploy.local.keys import make_secrets
from deploy.local.layout import REPOSITORY, Layout
from services.identity.credentials import AUDIENCES, TokenKeys, access_claims
from tests.eye import Eye

ISSUER = "http://platform.example"


@dataclass(kw_only=True)
class Stand:
    """One running service and the means to talk to it."""

    app: FastAPI
    client: httpx2.AsyncClient
    runtime: Runtime
    keys: TokenKeys
    layout: Layout
    settings: Any
    admin_url: str
    """The service's database, for the server's administrator: the service itself may do less."""
    management_url: str
    vhost: str
    channel: aio_pika.abc.AbstractChannel
    heard: list[dict[str, Any]] = field(default_factory=list)
    """Every envelope on the facts, commands and answers exchanges, in order of arrival."""
    position: int = 0
    """Of the last erase command that `erase` gave."""
    head: str = NO_PREVIOUS
    """The hash of its entry in the ledger copy."""
    eye: Eye = field(default_factory=Eye)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Of those who write to the copy: it has no holes."""

    def token(
        self,
        account_id: UUID | None = None,
        *,
        roles: Iterable[Role] = (),
        scopes: Iterable[str] = (),
        audiences: Iterable[str] = AUDIENCES,
        shift: float = 0,
    ) -> dict[str, str]:
        """Request headers with a valid token of that person, or of a client with `scopes`."""
        claims = access_claims(
            issuer=ISSUER,
            subject=str(account_id or "some-client"),
            now=clock.now(),
            audiences=list(audiences),
            session_id=new_id() if account_id else None,
            roles=[role.value for role in roles],
            scopes=list(scopes),
        )
        claims["exp"] += int(shift)
        return {"Authorization": f"Bearer {self.keys.sign('at+jwt', claims)}"}

    async def say(
        self, event: Event, *, event_id: UUID | None = None, source: str = "", **how: Any
    ) -> UUID:
        """Publish an event as the service that owns it would; `how` goes to `say_raw`."""
        envelope = {
            "specversion": "1.0",
            "id": str(event_id or new_id()),
            "source": source or f"/services/{event.owner}",
            "type": event.event_type(),
            "subject": event.subject,
            "time": clock.now().isoformat(),
            "datacontenttype": "application/json",
            "data": event.model_dump(mode="json"),
        }
        await self.say_raw(
            json.dumps(envelope).encode(), kind=event.kind, routing_key=event.routing_key(), **how
        )
        return UUID(str(envelope["id"]))

    async def say_raw(
        self,
        body: bytes,
        *,
        kind: Kind = Kind.FACT,
        routing_key: str,
        channel: aio_pika.abc.AbstractChannel | None = None,
        user: str | None = None,
    ) -> None:
        """Publish bytes on an exchange, as privacy's broker user unless told otherwise."""
        exchange = await (channel or self.channel).get_exchange(kind.value, ensure=False)
        await exchange.publish(
            aio_pika.Message(
                body,
                content_type="application/cloudevents+json",
                message_id=str(uuid4()),
                user_id=user or f"{self.vhost}-voice",
            ),
            routing_key=routing_key,
        )

    async def operate(self, person_id: UUID) -> None:
        """That person, an operator, does something that is written down."""
        answer = await self.client.post(
            f"/api/{self.runtime.service.name}/dead-letters/replay",
            json={"ids": [str(new_id())]},
            headers=self.token(person_id, roles=[Role.OPERATOR]),
        )
        assert answer.status_code == 200, answer.text

    async def erase(self, *people: UUID) -> dict[str, Any]:
        """Give the erase command as privacy does; returns the service's acknowledgement."""
        command = await self.order(*people)
        return await self.hear(ErasureAcknowledged, broadcast_id=command.broadcast_id)

    async def order(self, *people: UUID) -> Erase:
        """Give the erase command as privacy does, the ledger copy first, and do not wait."""
        async with self.turn:
            command, sealed = self.entry(*people)
            await self.runtime.ledger.append(command.position, sealed)
        await self.broadcast(command)
        return command

    def entry(self, *people: UUID, **more: Any) -> tuple[Erase, bytes]:
        """The next command, and its entry in the ledger copy as privacy signs it."""
        self.position += 1
        entry = {
            "position": self.position,
            "previous_hash": self.head,
            "broadcast_id": str(new_id()),
            "at": clock.now().isoformat(),
            "due_by": (clock.now() + timedelta(days=30)).isoformat(),
            "reason": Reason.SELF_SERVICE.value,
            "subjects": [
                {"erasure_id": str(new_id()), "subject_id": str(person)} for person in people
            ],
            **more,
        }
        self.head = digest(entry)
        sealed = seal(entry, load_key(self.layout.secrets / "privacy" / "evidence.pem"))
        return Erase.model_validate({**entry, "entry_hash": self.head}), sealed

    async def broadcast(self, command: Erase) -> None:
        """Give this command as privacy does."""
        user = f"{self.vhost}-privacy"
        password = (self.layout.secrets / "privacy.password").read_text()
        where = urlsplit(self.settings.amqp_url)
        privacy = await aio_pika.connect(
            f"amqp://{user}:{password}@{where.hostname}:{where.port}{where.path}"
        )
        async with privacy:
            await self.say(command, channel=await privacy.channel(), user=user)

    async def hear(self, event: type[Event], *, times: int = 1, **fields: Any) -> dict[str, Any]:
        """The data of the first such event with these values, or the third…, waiting up to 30 s."""
        wanted = {name: str(value) for name, value in fields.items()}
        for _ in range(1500):
            left = times
            for envelope in self.heard:
                data = envelope["data"]
                if envelope["type"] == event.event_type() and all(
                    str(data.get(name)) == value for name, value in wanted.items()
                ):
                    found: dict[str, Any] = data
                    left -= 1
                    if not left:
                        return found
            await asyncio.sleep(0.02)
        raise AssertionError(f"{event.event_type()} with {wanted} was not heard")

    def heard_count(self, event: type[Event], **fields: Any) -> int:
        """How often such an event was heard until now."""
        return sum(
            envelope["type"] == event.event_type()
            and all(str(envelope["data"].get(k)) == str(v) for k, v in fields.items())
            for envelope in self.heard
        )

    async def rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows of the service's database, read from outside."""
        return await self.eye.rows(self.admin_url, sql, *arguments)

    async def eventually(self, sql: str, *arguments: Any, seconds: float = 30) -> Any:
        """The first value of a query, once it is true."""
        for _ in range(int(seconds * 50)):
            found = await self.rows(sql, *arguments)
            if found and found[0][0]:
                return found[0][0]
            await asyncio.sleep(0.02)
        raise AssertionError(f"not true in time: {sql} {arguments}"[:500])


@asynccontextmanager
async def standing(
    wired: Service,
    *,
    servers: SimpleNamespace,
    folder: Path,
    smtp_url: str,
    worker: bool = True,
    extra: Iterable[str] = (),
    layout: Layout | None = None,
    **more: Any,
) -> AsyncIterator[Stand]:
    """Run a service; `extra` names further services that get a broker user, for forgeries.

    With the `layout` of another stand both share their secrets: each trusts the other's tokens.
    """
    name = f"t{secrets.token_hex(5)}"
    layout = layout or Layout(folder / name)
    layout.make()
    (layout.ledger / name).mkdir()
    passwords = make_secrets(layout)
    admin_url, database_url = await migrated(servers.postgres_url, f"{name}_{wired.name}", wired)
    facts = {wired.name: list(wired.handlers)}
    wanted = topology.definitions(
        vhost=name,
        prefix=f"{name}-",
        passwords={n: passwords[n] for n in {wired.name, "privacy", *extra}},
        consumes=facts,
    )
    _add_voice(wanted, name)
    await topology.apply(servers.management_url, wanted)
    host = urlsplit(servers.amqp_url)
    where = f"{host.hostname}:{host.port}/{name}"
    keys = TokenKeys.load(layout.secrets / "identity" / "tokens")
    settings = wired.settings.model_validate(
        {
            "database_url": database_url,
            "amqp_url": f"amqp://{name}-{wired.name}:{passwords[wired.name]}@{where}",
            "broker_prefix": f"{name}-",
            "identity_url": "http://127.0.0.1:9",
            "issuer": ISSUER,
            "public_url": "http://platform.example",
            "storage_url": (layout.storage / wired.name).as_uri(),
            "ledger_url": (layout.ledger / name).as_uri(),
            "secrets_dir": layout.secrets / wired.name,
            "trust_dir": layout.trust,
            "run_worker": worker,
            "api_docs": True,
            "smtp_url": smtp_url,
            "dpo_address": "dpo@ccibusiness.example",
            "mail_from": "CCI Business <ne-pas-repondre@ccibusiness.example>",
            "broker_admin_url": f"{servers.management_url.rstrip('/')}/{name}",
            **more,
        }
    )
    app = service.create_app(replace(wired, keys=lambda _: keys), settings)
    async with AsyncExitStack() as stack:
        # What is there is looked after again and again by its server.
        stack.push_async_callback(_drop, servers, database_url=database_url, vhost=name)
        voice = await aio_pika.connect_robust(f"amqp://{name}-voice:voice@{where}")
        stack.push_async_callback(voice.close)
        channel = await voice.channel()
        stand = Stand(
            app=app,
            client=None,  # type: ignore[arg-type]  # set below, once the application runs
            runtime=None,  # type: ignore[arg-type]
            keys=keys,
            layout=layout,
            settings=settings,
            admin_url=admin_url,
            management_url=servers.management_url,
            vhost=name,
            channel=channel,
        )
        stack.push_async_callback(stand.eye.close)
        await _listen(stand)
        await stack.enter_async_context(LifespanManager(app, startup_timeout=60))
        stand.runtime = app.state.runtime
        stand.client = await stack.enter_async_context(
            httpx2.AsyncClient(
                transport=httpx2.ASGITransport(app=app, raise_app_exceptions=False),
                base_url="http://platform.example",
            )
        )
        yield stand


@asynccontextmanager
async def served(app: FastAPI, *, port: int = 0) -> AsyncIterator[str]:
    """Serve an application that runs already, over a real socket; yields its address."""
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, lifespan="off", log_config=None)
    )
    task = asyncio.create_task(server.serve())
    while not server.started and not task.done():
        await asyncio.sleep(0.01)
    try:
        yield "http://{}:{}".format(*server.servers[0].sockets[0].getsockname())
    finally:
        server.should_exit = True
        await task


async def _listen(stand: Stand) -> None:
    queue = await stand.channel.declare_queue("test.ear", durable=True)
    for kind in Kind:
        await queue.bind(kind.value, "#")

    async def note(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        stand.heard.append(
            {**json.loads(message.body), "sender": message.user_id}
            if message.body.startswith(b"{")
            else {"type": "", "data": {}}
        )

    await queue.consume(note, no_ack=True)


def _add_voice(wanted: dict[str, Any], vhost: str) -> None:
    """A broker user that may do everything in this virtual host, and only there."""
    user = f"{vhost}-voice"
    wanted["users"].append({"name": user, "password": "voice", "tags": ""})
    wanted["permissions"].append(
        {"user": user, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"}
    )


OWNER, RUNTIME = "stand_owner", "stand_runtime"
"""The two roles of every service on a stand: whose the tables are, and whom the service logs in as."""


async def migrated(postgres_url: str, name: str, wired: Service) -> tuple[str, str]:
    """A fresh database of a service: its address for the administrator, and for the service."""
    server = postgres_url.rpartition("/")[0]
    connection = await asyncpg.connect(postgres_url)
    try:
        template = await _template(connection, server, wired)
        await copied(connection, name, template=template, more=f"OWNER {OWNER}")
    finally:
        await connection.close()
    return f"{server}/{name}", as_role(f"{server}/{name}", RUNTIME)


async def _template(connection: asyncpg.Connection, server: str, wired: Service) -> str:
    """A database of this server that is migrated once, by whichever process of the run is first."""
    run = os.environ["CCIB_TEST_FOLDER"]  # a server that was given may remember other runs
    template = f"migrated_{wired.name}_{digest({'run': run})[:10]}"
    await connection.execute("SELECT pg_advisory_lock(hashtext($1))", template)
    try:
        if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", template):
            return template
        for role in (OWNER, RUNTIME):
            try:
                await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'")
            except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
                pass  # by another process of this run
        made = f"{template}_new"  # one that fails half-way is nobody's template
        await connection.execute(f'DROP DATABASE IF EXISTS "{made}"')
        await connection.execute(f'CREATE DATABASE "{made}" OWNER {OWNER}')
        await asyncio.to_thread(
            upgrade,
            REPOSITORY / "services" / wired.name / "migrations",
            wired.catalogue.metadata,
            as_role(f"{server}/{made}", OWNER),
            runtime_role=RUNTIME,
        )
        await connection.execute(f'ALTER DATABASE "{made}" RENAME TO "{template}"')
    finally:
        await connection.execute("SELECT pg_advisory_unlock(hashtext($1))", template)
    return template


async def copied(
    connection: asyncpg.Connection, name: str, *, template: str, more: str = ""
) -> None:
    """Copy a database that nobody uses, file by file: through the log it takes twice as long."""
    await connection.execute(
        f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY {more}'
    )


def as_role(url: str, role: str) -> str:
    """The same database, as one of a stand's roles."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{role}:{role}@{parts.netloc.rpartition('@')[2]}").geturl()


async def _drop(servers: SimpleNamespace, *, database_url: str, vhost: str) -> None:
    async with httpx2.AsyncClient(base_url=servers.management_url, timeout=60) as client:
        await client.delete(f"/api/vhosts/{vhost}")
    name = database_url.rpartition("/")[2]
    connection = await asyncpg.connect(servers.postgres_url)
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await connection.close()
