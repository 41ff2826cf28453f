"""A participant that dies at every seam of an erasure, one after the other, converges (E7, E8)."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID, uuid4

import httpx2
import pytest

from chassis.service import Service
from contracts.identity import AccountLocked
from contracts.privacy import ErasureAcknowledged
from deploy.local.processes import free_ports
from services.directory.wiring import SERVICE as DIRECTORY
from services.identity.wiring import SERVICE as IDENTITY
from tests import rows
from tests.faults.erasure_workers import Participant, participant
from tests.mailbox import Mailbox, token_in

BEFORE_COMMIT = (
    "erasure.after_locks",
    "erasure.after_rows",
    "erasure.after_files",
    "outbox.before_commit:2",  # the first one is the manifest, at the start
)
AFTER_COMMIT = ("commands.before_ack", "relay.before_publish", "relay.after_ack_before_mark")

PASSWORD = "Sept-Péniches-Bleues-42"


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "service",
    [IDENTITY, pytest.param(DIRECTORY, marks=pytest.mark.long)],
    ids=lambda service: service.name,
)
async def test_a_participant_that_dies_at_every_seam_in_turn_erases_once_and_says_it_alike(
    service: Service, servers: SimpleNamespace, mailbox: Mailbox, tmp_path: Path
) -> None:
    async with participant(
        service, servers=servers, folder=tmp_path, smtp_url=mailbox.url
    ) as forgetful:
        stand, person = forgetful.stand, uuid4()
        async with stand.runtime.db.engine.begin() as connection:
            filling = await rows.fill(connection, service.catalogue, person)
        for key in filling.files:
            await stand.runtime.storage.put(key, b"portrait")
        command, sealed = stand.entry(person)
        await stand.broadcast(command)  # not in the copy yet, for it is the bus that must bring it
        for point in BEFORE_COMMIT:
            async with forgetful.worker(crash_at=point) as worker:
                await forgetful.dies(worker)
            assert not await stand.rows("SELECT FROM applied")
            assert await left(forgetful, filling) == set(filling.tokens)
            assert not stand.heard_count(ErasureAcknowledged)
        await stand.runtime.ledger.append(command.position, sealed)
        for point in AFTER_COMMIT:
            async with forgetful.worker(crash_at=point) as worker:
                await forgetful.dies(worker)
            assert len(await stand.rows("SELECT FROM applied")) == 1
            assert not await left(forgetful, filling)
            assert not any([await stand.runtime.storage.get(key) for key in filling.files])
        async with forgetful.worker():
            await stand.eventually("SELECT NOT EXISTS (SELECT FROM outbox)", seconds=60)
            said = await stand.hear(ErasureAcknowledged, broadcast_id=command.broadcast_id)
        [evidence] = said["subjects"]
        assert evidence["outcome"] == "erased"
        assert all(table["deleted"] or table["detached"] for table in evidence["tables"].values())
        answers = [
            (said["data"]["manifest_hash"], said["data"]["subjects"])
            for said in stand.heard
            if said["type"] == ErasureAcknowledged.event_type()
        ]
        assert all(answer == answers[0] for answer in answers)
        assert len(await stand.rows("SELECT FROM applied")) == 1


async def left(forgetful: Participant, filling: rows.Filling) -> set[str]:
    async with forgetful.stand.runtime.db.engine.connect() as connection:
        everything = await rows.everything(connection)
    return {token for token in filling.tokens if token in everything}


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
            assert (await ask()).status_code == 202
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
