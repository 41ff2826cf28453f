"""Setting up the simulated platform: databases, secrets, the five services, a partner."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import (
    commands,
    crash,
    live_schema,
    restore,
    service,
    topology,
)
from chassis.ids import new_id
from deploy.local.keys import make_secrets
from deploy.local.layout import Layout
from services.identity import credentials
from services.identity.credentials import TokenKeys
from tests.simulation.bus import Broker
from tests.simulation.world import ISSUER, PREFIX, WIRED, Armed, Process, World
from tests.stand import migrated

Facts = list[live_schema.Fact]
_NOWHERE = "amqp://nobody:nothing@127.0.0.1:9/simulated?heartbeat=10"


def _read_once(read: Callable[[AsyncSession], Awaitable[Facts]]) -> Callable[..., Awaitable[Facts]]:
    """Nobody changes a schema here, and to read it costs more than to erase somebody."""
    known: dict[str, Facts] = {}

    async def remembered(session: AsyncSession) -> Facts:
        name = str(session.get_bind().engine.url.database)
        if name not in known:
            known[name] = await read(session)
        return known[name]

    return remembered


@contextmanager
def impatient(armed: Armed) -> Iterator[None]:
    """Nobody waits for anything, and a crash point is ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crash, "point", armed.point)
        patch.setattr(restore, "PATIENCE_S", 0.01)
        patch.setattr(commands, "PAUSES_S", (0,))
        # Each life of a process would read the authorities' certificates, and calls nobody outside.
        context = ssl.create_default_context()
        patch.setattr("httpx2._transports.default.create_ssl_context", lambda **_: context)
        patch.setenv("PGSSLMODE", "disable")  # each life of a process would ask for it in vain
        patch.setattr(live_schema, "read", _read_once(live_schema.read))
        # A password that is slow to guess proves nothing here.
        cheap = Argon2Hasher(memory_cost=8, time_cost=1, parallelism=1)
        patch.setattr(credentials, "_hasher", PasswordHash((cheap,)))
        yield


@asynccontextmanager
async def platform(*, servers: SimpleNamespace, folder: Path) -> AsyncIterator[World]:
    """The five services on fresh databases, and a partner."""
    layout = Layout(folder / "platform")
    layout.make()
    ledger = layout.ledger / "copy"
    ledger.mkdir()
    passwords = make_secrets(layout)
    keys = TokenKeys.load(layout.secrets / "identity" / "tokens")
    armed = Armed()
    world = World(
        processes={}, broker=None, keys=keys, layout=layout, armed=armed, ledger=ledger  # type: ignore[arg-type]
    )  # fmt: skip
    world.broker = Broker(
        topology.definitions(
            vhost="simulated",
            prefix=PREFIX,
            passwords=passwords,
            consumes={name: list(wired.handlers) for name, wired in WIRED.items()},
        ),
        heard=world.said,
    )
    tag = new_id().hex[-10:]
    for name, wired in WIRED.items():
        url, _ = await migrated(servers.postgres_url, f"s{tag}_{name}", wired)
        settings = wired.settings.model_validate(
            {
                "environment": "test",
                "database_url": url,
                "amqp_url": _NOWHERE,
                "broker_prefix": PREFIX,
                "identity_url": "http://identity",
                "issuer": ISSUER,
                "public_url": ISSUER,
                "storage_url": (layout.storage / name).as_uri(),
                "ledger_url": ledger.as_uri(),
                "secrets_dir": layout.secrets / name,
                "trust_dir": layout.trust,
                "smtp_url": "smtp://127.0.0.1:9",
                "dpo_address": "dpo@ccibusiness.example",
                "mail_from": "CCI Business <ne-pas-repondre@ccibusiness.example>",
                "broker_admin_url": "http://127.0.0.1:9/simulated",
            }
        )
        own = replace(wired, keys=lambda _: keys)
        world.processes[name] = Process(
            wired=own, settings=settings, app=service.create_app(own, settings), http=None  # type: ignore[arg-type]
        )  # fmt: skip
    async with AsyncExitStack() as stack:
        stack.enter_context(impatient(armed))
        inside = await stack.enter_async_context(
            httpx2.AsyncClient(transport=httpx2.ASGITransport(world.processes["identity"].app))
        )
        for name, process in world.processes.items():
            process.http = inside
            await world.start(name)
            stack.push_async_callback(world.stop, name)
            stack.push_async_callback(world._leave, name)
        await world.set_partner(active=True)
        yield world
