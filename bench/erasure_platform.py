"""The whole platform as processes, for figures that only mean something with real ones.

Five services, a partner system with a broker user of its own and a place that keeps mails, on
databases and a virtual host of their own; in both layouts: API and worker in one process as
`make run` has them, or apart as in production. Processes that die are started again as by `make run`.
"""

import asyncio
import contextlib
import json
import secrets
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import httpx2

from bench.erasure_people import remember
from chassis import clock, topology
from chassis.auth import Role
from chassis.db import engine as db_engine
from chassis.ids import new_id
from chassis.migrations import upgrade
from chassis.service import Service
from chassis.storage import Storage
from deploy.local import children, first_run
from deploy.local.children import Ports
from deploy.local.keys import make_secrets
from deploy.local.layout import REPOSITORY, SERVICES, Layout
from deploy.local.processes import free_ports
from deploy.local.supervisor import Child, Supervisor
from services.identity.credentials import TokenKeys, access_claims

WIRED: dict[str, Service] = {
    name: import_module(f"services.{name}.wiring").SERVICE for name in SERVICES
}


@dataclass(kw_only=True)
class Platform:
    """A running platform."""

    layout: Layout
    ports: Ports
    urls: dict[str, str]
    """The database of each service."""
    amqp: dict[str, str]
    """The broker address of each service's user."""
    vhost: str
    management_url: str
    supervisor: Supervisor
    keys: TokenKeys
    http: httpx2.AsyncClient
    lines: dict[str, asyncpg.Connection] = field(default_factory=dict)
    """A connection to each database, to look from outside."""

    def token(
        self, account_id: UUID, *roles: Role, session_id: UUID | None = None
    ) -> dict[str, str]:
        """Headers of somebody who has signed in."""
        claims = access_claims(
            issuer=self.ports.public,
            subject=str(account_id),
            now=clock.now(),
            session_id=session_id or new_id(),
            roles=[role.value for role in roles],
        )
        return {"Authorization": f"Bearer {self.keys.sign('at+jwt', claims)}"}

    def child(self, name: str) -> Child:
        [found] = [one for one in self.supervisor.children if one.name == name]
        return found

    async def populate(self, people: Sequence[UUID]) -> None:
        """Rows, and files, of these people in every service."""
        for name, url in self.urls.items():
            engine = db_engine(url)
            async with engine.begin() as connection:
                keys = await remember(connection, WIRED[name].catalogue, people)
            await engine.dispose()
            storage = Storage((self.layout.storage / name).as_uri())
            for key in keys:
                await storage.put(key, b"portrait")

    async def seed(self, *, companies: int) -> first_run.Seeded:
        """Demo data in every service, and demo accounts; needs the gateway."""
        return await asyncio.to_thread(
            first_run.seed,
            layout=self.layout,
            stack={
                "gateway": self.ports.public,
                "postgres": self.urls,
                "storage": str(self.layout.storage),
                "services": list(self.urls),
            },
            companies=companies,
            password=f"Demo-{secrets.token_hex(6)}",
        )

    async def until(self, statement: str, *values: Any, service: str = "privacy") -> Any:
        """The first value of a query once it is true, looked at every 5 ms; gives up after 120 s.

        Looking takes processor time, too: what it would add to precision it takes from the measure.
        """
        async with asyncio.timeout(120):
            while not (found := await self.lines[service].fetchval(statement, *values)):
                await asyncio.sleep(0.005)
        return found


@asynccontextmanager
async def platform(
    *,
    servers: SimpleNamespace,
    folder: Path,
    apart: bool,
    partner: bool = True,
    site: bool = False,
) -> AsyncIterator[Platform]:
    """Start everything and stop it. `apart`: API and worker of a service as separate processes;
    `site`: with the site, and the gateway that it needs.
    """
    name = f"b{secrets.token_hex(4)}"
    layout = Layout(folder / name)
    layout.make()
    passwords = make_secrets(layout)
    mail, smtp, public, web, door, *free = free_ports(6 + 3 * len(SERVICES))
    observed = [*SERVICES, *(f"{service}-worker" for service in SERVICES), "web"]
    ports = Ports(
        gateway=public if site else free[SERVICES.index("identity")],
        mail=mail,
        smtp=smtp,
        web=web,
        site=door,
        services=dict(zip(SERVICES, free[: len(SERVICES)], strict=True)),
        operations=dict(zip(observed, free[len(SERVICES) :], strict=True)),
    )
    urls = {
        service: await make_database(servers, f"{name}_{service}", service) for service in SERVICES
    }
    wanted = topology.definitions(
        vhost=name,
        prefix=f"{name}-",
        passwords=passwords,
        consumes={service: list(wired.handlers) for service, wired in WIRED.items()},
    )
    await topology.apply(servers.management_url, wanted)
    place = urlsplit(servers.amqp_url)
    where = f"{place.hostname}:{place.port}/{name}?heartbeat=10&reconnect_interval=1"
    amqp = {one: f"amqp://{name}-{one}:{passwords[one]}@{where}" for one in SERVICES}
    supervisor = Supervisor(owner=layout.root, folder=REPOSITORY, say=lambda _: None)
    async with AsyncExitStack() as stack:
        stack.callback(supervisor.stop)
        supervisor.start([children.mail_child(layout=layout, ports=ports)])
        supervisor.start(
            child
            for service in SERVICES
            for child in _children(
                service,
                layout=layout,
                ports=ports,
                apart=apart,
                told={
                    "CCIB_DATABASE_URL": urls[service],
                    "CCIB_AMQP_URL": amqp[service],
                    "CCIB_BROKER_PREFIX": f"{name}-",
                    "CCIB_BROKER_ADMIN_URL": f"{servers.management_url.rstrip('/')}/{name}",
                },
            )
        )
        if site:
            supervisor.start([children.web_child(layout=layout, ports=ports)])
            supervisor.start([children.gateway_child(layout=layout, ports=ports)])
        await asyncio.to_thread(supervisor.wait_ready)
        started = Platform(
            layout=layout,
            ports=ports,
            urls=urls,
            amqp=amqp,
            vhost=name,
            management_url=servers.management_url,
            supervisor=supervisor,
            keys=TokenKeys.load(layout.secrets / "identity" / "tokens"),
            http=await stack.enter_async_context(httpx2.AsyncClient(timeout=30)),
        )
        for service, url in urls.items():
            started.lines[service] = line = await asyncpg.connect(url)
            stack.push_async_callback(line.close)
        if partner:
            await _admit_partner(started, where)
        tending = asyncio.create_task(_tend(supervisor))
        stack.push_async_callback(_cancel, tending)
        yield started


def _children(
    service: str, *, layout: Layout, ports: Ports, apart: bool, told: dict[str, str]
) -> list[Child]:
    environment = (
        children.service_environment(service, layout=layout, ports=ports, database_url="") | told
    )
    api = children.service_child(
        service,
        layout=layout,
        ports=ports,
        environment=environment | {"CCIB_RUN_WORKER": str(not apart).lower()},
    )
    if not apart:
        return [api]
    worker = replace(
        api,
        name=f"{service}-worker",
        command=[sys.executable, "-m", f"services.{service}.worker"],
        environment=environment
        | {"CCIB_OPERATIONS_PORT": str(ports.operations[f"{service}-worker"])},
        log=layout.logs / f"{service}-worker.log",
        ready_url="",
    )
    return [api, worker]


async def make_database(servers: SimpleNamespace, name: str, service: str) -> str:
    connection = await asyncpg.connect(servers.postgres_url)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
    url = f"{servers.postgres_url.rpartition('/')[0]}/{name}"
    wired = WIRED[service]
    migrations = REPOSITORY / "services" / service / "migrations"
    await asyncio.to_thread(upgrade, migrations, wired.catalogue.metadata, url)
    return url


async def _admit_partner(started: Platform, where: str) -> None:
    """A partner system of another maker, in a process of its own."""
    answer = await started.http.post(
        f"{started.ports.url('privacy')}/api/privacy/participants",
        json={"name": "demo", "contact": "rgpd@partenaire.example", "deadline_days": 30},
        headers=started.token(new_id(), Role.OPERATOR),
    )
    if answer.status_code != httpx2.codes.CREATED:
        raise RuntimeError(f"no partner: {answer.status_code} {answer.text}")
    given = answer.json()
    url = f"amqp://{given['user']}:{given['password']}@{where}"
    started.supervisor.start(
        [children.partner_child(layout=started.layout, amqp_url=url, queue=given["queue"])]
    )


async def _tend(supervisor: Supervisor) -> None:
    """As `make run` does, and as often."""
    while True:
        await asyncio.sleep(0.2)
        supervisor.tend()


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def certificate_of(answer: httpx2.Response) -> dict[str, Any]:
    """The statement in a certificate that was fetched; raises for anything else."""
    answer.raise_for_status()
    found: dict[str, Any] = json.loads(answer.content)["certificate"]
    return found
