"""Each service over a real socket, one after the other, and who calls it."""

from collections.abc import AsyncIterator
from importlib import import_module
from types import SimpleNamespace
from uuid import uuid4

import pytest

from chassis.auth import Role
from chassis.ids import new_id
from deploy.local.layout import SERVICES
from tests.mailbox import Mailbox, token_in
from tests.stand import Stand, served, standing

PASSWORD = "Sept-Péniches-Bleues-42"
Headers = dict[str, str]


@pytest.fixture(scope="package", params=SERVICES)
async def stand(
    request: pytest.FixtureRequest,
    servers: SimpleNamespace,
    mailbox: Mailbox,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Stand]:
    async with standing(
        import_module(f"services.{request.param}.wiring").SERVICE,
        servers=servers,
        folder=tmp_path_factory.mktemp("openapi"),
        smtp_url=mailbox.url,
        extra=[name for name in SERVICES if name != request.param],
    ) as found:
        yield found


@pytest.fixture(scope="package")
async def url(stand: Stand) -> AsyncIterator[str]:
    async with served(stand.app) as address:
        yield address


@pytest.fixture(scope="package")
async def callers(stand: Stand, mailbox: Mailbox) -> dict[str, Headers]:
    """A visitor, a member without any role, and somebody who holds them all."""
    if stand.runtime.service.name == "identity":
        return {
            "visitor": {},
            "member": await _session(stand, mailbox),
            "everything": await _session(stand, mailbox, *Role),
        }
    return {
        "visitor": {},
        "member": stand.token(new_id(), shift=3600),
        "everything": stand.token(new_id(), roles=Role, shift=3600),
    }


async def _session(stand: Stand, mailbox: Mailbox, *roles: Role) -> Headers:
    """Identity lets nobody in whose session it does not know."""
    email = f"{uuid4().hex}@entreprise.example"
    known = {"email": email, "password": PASSWORD}
    post = stand.client.post
    await post("/api/identity/accounts", json={**known, "notice_version": "2026-11"})
    token = token_in(await mailbox.wait_for(email))
    await post("/api/identity/accounts/verify", json={"token": token})
    given = await stand.client.put(
        "/api/identity/roles",
        json={"email": email, "roles": [role.value for role in roles]},
        headers=stand.token(new_id(), roles=[Role.OPERATOR]),
    )
    assert given.status_code == 204, given.text
    pair = (await post("/api/identity/sessions", json=known)).json()
    return {"Authorization": f"Bearer {pair['access_token']}"}
