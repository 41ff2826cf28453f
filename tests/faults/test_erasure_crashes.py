"""The promise of an erasure, made by a process that dies over it: kept if it was made, else never made (E7)."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID, uuid4

import httpx2
import pytest

from contracts.identity import AccountLocked
from deploy.local.processes import free_ports
from services.identity.wiring import SERVICE as IDENTITY
from tests.faults.erasure_workers import Participant, participant
from tests.mailbox import Mailbox, token_in

PASSWORD = "Sept-Péniches-Bleues-42"


async def serving(port: int) -> None:
    """Wait until a service answers there."""
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(600):
            try:
                if (await client.get("/health/ready")).status_code == 200:
                    return
            except httpx2.HTTPError:
                pass
            await asyncio.sleep(0.1)
    raise AssertionError("nobody answers")


async def a_member(forgetful: Participant, mailbox: Mailbox) -> tuple[UUID, dict[str, str]]:
    """The id and the headers of somebody who signed up through the door in this process."""
    stand, email = forgetful.stand, f"{uuid4().hex}@entreprise.example"
    body = {"email": email, "password": PASSWORD, "notice_version": "2026-11"}
    assert (await stand.client.post("/api/identity/accounts", json=body)).status_code == 202
    async with forgetful.worker():  # it sends the mail, and leaves nothing in the outbox
        token = token_in(await mailbox.wait_for(email, seconds=60))
        await stand.client.post("/api/identity/accounts/verify", json={"token": token})
        await stand.eventually("SELECT NOT EXISTS (SELECT FROM outbox)", seconds=60)
    pair = await stand.client.post(
        "/api/identity/sessions", json={"email": email, "password": PASSWORD}
    )
    headers = {"Authorization": f"Bearer {pair.json()['access_token']}"}
    me = (await stand.client.get("/api/identity/me", headers=headers)).json()
    return UUID(me["account_id"]), headers


@pytest.mark.timeout(300)
async def test_identity_keeps_the_promises_it_made_before_it_died_and_made_no_others(
    servers: SimpleNamespace, mailbox: Mailbox, tmp_path: Path
) -> None:
    async with participant(
        IDENTITY, servers=servers, folder=tmp_path, smtp_url=mailbox.url
    ) as identity:
        stand = identity.stand
        account_id, headers = await a_member(identity, mailbox)
        [port] = free_ports(1)
        door = ("uvicorn", "--factory", "services.identity.main:create_app", "--port", str(port))
        url = f"http://127.0.0.1:{port}/api/identity/me"

        async def ask() -> httpx2.Response:
            await serving(port)
            async with httpx2.AsyncClient() as client:
                return await client.request(
                    "DELETE", url, json={"password": PASSWORD}, headers=headers
                )

        async with identity.process(*door, crash_at="outbox.before_commit:2") as process:
            with pytest.raises(httpx2.HTTPError):
                await ask()
            await identity.dies(process)
        assert (await stand.client.get("/api/identity/me", headers=headers)).status_code == 200
        assert not await stand.rows("SELECT FROM erasure_request")

        async with identity.process(*door, crash_at="relay.before_publish:2") as process:
            try:
                assert (await ask()).status_code == 202
            except httpx2.RemoteProtocolError:
                pass  # the relay was quicker than the answer; what was committed is the promise
            await identity.dies(process)
        assert (await stand.client.get("/api/identity/me", headers=headers)).status_code == 401
        assert not stand.heard_count(AccountLocked)

        async with identity.worker(crash_at="relay.after_ack_before_mark") as worker:
            await identity.dies(worker)
        async with identity.worker():
            await stand.eventually("SELECT NOT EXISTS (SELECT FROM outbox)", seconds=60)
            await stand.hear(AccountLocked, account_id=account_id)
            [evidence] = (await stand.erase(account_id))["subjects"]
        assert evidence["tables"]["erasure_request"]["deleted"] == 1
