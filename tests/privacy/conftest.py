"""Privacy as it runs, a real identity beside it, and the other services played."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from asgi_lifespan import LifespanManager

from chassis import service
from chassis.auth import Role
from deploy.local.layout import SERVICES
from services.identity.wiring import SERVICE as IDENTITY
from services.privacy.wiring import SERVICE as PRIVACY
from tests.mailbox import Mailbox, token_in
from tests.privacy.troupe import Partner, Troupe, connected, playing
from tests.stand import Stand, served, standing

OTHERS = [name for name in SERVICES if name != "privacy"]


@pytest.fixture(scope="package")
def post() -> Iterator[Mailbox]:
    """The mail server of this folder, which a test may make refuse."""
    with Mailbox() as box:
        yield box


@dataclass(kw_only=True)
class Members:
    """A real identity, over a socket that can be cut."""

    stand: Stand
    post: Mailbox
    url: str = ""
    _line: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def up(self) -> None:
        """Answer at the address that privacy knows."""
        port = urlsplit(self.url).port or 0 if self.url else 0
        self.url = await self._line.enter_async_context(served(self.stand.app, port=port))

    async def down(self) -> None:
        """Answer nobody."""
        await self._line.aclose()

    async def join(self) -> tuple[UUID, str]:
        """The id and the address of somebody with a confirmed account."""
        email = f"{uuid4().hex}@entreprise.example"
        body = {"email": email, "password": "Sept-Péniches-Bleues-42", "notice_version": "2026-11"}
        await self.stand.client.post("/api/identity/accounts", json=body)
        token = token_in(await self.post.wait_for(email))
        await self.stand.client.post("/api/identity/accounts/verify", json={"token": token})
        found = await self.stand.rows("SELECT id FROM account WHERE email = $1", email)
        self.post.mails.clear()
        return found[0]["id"], email


@pytest.fixture(scope="package")
async def members(
    servers: SimpleNamespace, post: Mailbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Members]:
    folder = tmp_path_factory.mktemp("privacy")
    async with standing(IDENTITY, servers=servers, folder=folder, smtp_url=post.url) as stand:
        found = Members(stand=stand, post=post)
        await found.up()
        yield found
        await found.down()


@pytest.fixture(scope="package")
async def privacy(
    servers: SimpleNamespace, members: Members, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stand]:
    async with privacy_standing(
        servers, members, folder=tmp_path_factory.mktemp("privacy")
    ) as stand:
        yield stand


def privacy_standing(
    servers: SimpleNamespace, members: Members, **more: Any
) -> AbstractAsyncContextManager[Stand]:
    """A privacy of one's own: its database, its virtual host, its ledger copy."""
    return standing(
        PRIVACY,
        servers=servers,
        extra=OTHERS,
        layout=members.stand.layout,
        identity_url=members.url,
        **{"smtp_url": members.post.url, **more},
    )


@pytest.fixture(scope="package")
async def troupe(privacy: Stand) -> AsyncIterator[Troupe]:
    async with playing(privacy, OTHERS) as found:
        yield found


@pytest.fixture
async def partner(privacy: Stand) -> AsyncIterator[Partner]:
    """A partner system, admitted by an operator, connected with what the answer said."""
    async with a_partner(privacy) as found:
        yield found


@asynccontextmanager
async def a_partner(stand: Stand, *, deadline_days: int = 30) -> AsyncIterator[Partner]:
    """Admit a partner; at the end it leaves, so that nobody waits for it."""
    name = f"demo-{uuid4().hex[:8]}"
    answer = await stand.client.post(
        "/api/privacy/participants",
        json={
            "name": name,
            "contact": "rgpd@partenaire.example",
            "deadline_days": deadline_days,
        },
        headers=stand.token(uuid4(), roles=[Role.OPERATOR]),
    )
    assert answer.status_code == 201, answer.text
    given = answer.json()
    async with await connected(stand, user=given["user"], password=given["password"]) as line:
        yield Partner(
            name=name, user=given["user"], channel=await line.channel(), credentials=given
        )
    await stand.rows("UPDATE participant SET active = false WHERE name = $1", name)


@asynccontextmanager
async def another_replica(stand: Stand) -> AsyncIterator[None]:
    """Start the same privacy once more, as a rolling restart does."""
    wired = replace(PRIVACY, keys=lambda _: stand.keys)
    async with LifespanManager(service.create_app(wired, stand.settings), startup_timeout=60):
        yield
