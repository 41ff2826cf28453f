"""What becomes of a partner system: another password, leaving, coming back - and its walls."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import aio_pika
import httpx2
import pytest

from chassis.auth import Role
from chassis.ids import new_id
from contracts.directory import MembershipGranted
from contracts.privacy import ErasureCompleted
from tests.privacy.conftest import a_partner
from tests.privacy.troupe import Partner, Troupe, ask, completed, connected, dpo, open_steps, state
from tests.stand import Stand

PARTICIPANTS = "/api/privacy/participants"
CONTACT = "rgpd@partenaire.example"


async def act(stand: Stand, method: str, path: str = "", **more: Any) -> httpx2.Response:
    """Something that an operator does about participants."""
    headers = more.pop("headers", None) or stand.token(new_id(), roles=[Role.OPERATOR])
    return await stand.client.request(method, PARTICIPANTS + path, headers=headers, **more)


async def rotate(stand: Stand, name: str, **more: Any) -> httpx2.Response:
    return await act(stand, "POST", f"/{name}/credentials", **more)


async def remove(stand: Stand, name: str, **more: Any) -> httpx2.Response:
    return await act(stand, "DELETE", f"/{name}", **more)


async def listed(stand: Stand, name: str) -> dict[str, Any]:
    found = (await act(stand, "GET")).json()
    return next(one for one in found if one["name"] == name)


async def may_enter(stand: Stand, user: str, password: str) -> bool:
    try:
        await (await connected(stand, user=user, password=password)).close()
    except aio_pika.exceptions.AMQPConnectionError:
        return False
    return True


@contextmanager
def broker_administration_away(stand: Stand) -> Iterator[None]:
    runtime = stand.app.state.runtime
    settings = runtime.settings
    runtime.settings = settings.model_copy(
        update={"broker_admin_url": "http://guest:guest@127.0.0.1:9/x"}
    )
    try:
        yield
    finally:
        runtime.settings = settings


@pytest.mark.parametrize("attempt", [rotate, remove])
async def test_only_an_operator_and_never_about_a_service(
    privacy: Stand, partner: Partner, attempt: Any
) -> None:
    for headers, expected in (
        ({"X-Nobody": "1"}, 401),
        (privacy.token(new_id()), 403),
        (dpo(privacy), 403),
        (privacy.token(scopes=["identity:addresses"]), 403),
    ):
        answer = await attempt(privacy, partner.name, headers=headers)
        assert answer.status_code == expected
    for service in ("directory", "privacy"):
        answer = await attempt(privacy, service)
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (
            409,
            "participant-is-a-service",
        )
    for unknown in ("nobody", "x" * 41, "%2e%2e"):
        assert (await attempt(privacy, unknown)).status_code == 404
    assert (await attempt(privacy, "x" * 42)).status_code == 422
    assert await may_enter(privacy, partner.user, partner.credentials["password"])


async def test_another_password_ends_the_old_one_and_its_connections(
    privacy: Stand, troupe: Troupe, partner: Partner
) -> None:
    erasure_id = await ask(privacy)
    old = partner.credentials
    line = await connected(privacy, user=partner.user, password=old["password"])
    ended = asyncio.Event()
    line.close_callbacks.add(lambda *_: ended.set())
    policy = f"/api/policies/{privacy.vhost}/ext-{partner.name}"
    async with httpx2.AsyncClient(base_url=privacy.management_url) as broker:
        smaller = {**(await broker.get(policy)).json(), "definition": {"max-length": 7}}
        (await broker.put(policy, json=smaller)).raise_for_status()
        answer = await rotate(privacy, partner.name)
        assert answer.status_code == 201, answer.text
        given = answer.json()
        assert {**given, "password": ""} == {**old, "password": ""}
        await asyncio.wait_for(ended.wait(), 5)
        assert not await may_enter(privacy, partner.user, old["password"])
        # What an operator had set stays as it was.
        assert (await broker.get(policy)).json()["definition"] == {"max-length": 7}
    async with await connected(privacy, user=partner.user, password=given["password"]) as again:
        renewed = replace(partner, channel=await again.channel())
        await renewed.give_word(await renewed.next_command())
        await completed(privacy, erasure_id)


async def test_while_the_broker_is_away_nothing_changes_and_it_can_be_done_again(
    privacy: Stand, partner: Partner
) -> None:
    with broker_administration_away(privacy):
        for attempt in (rotate, remove):
            answer = await attempt(privacy, partner.name)
            assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (
                502,
                "broker-unavailable",
            )
    assert (await listed(privacy, partner.name))["active"]
    assert await may_enter(privacy, partner.user, partner.credentials["password"])
    assert (await remove(privacy, partner.name)).status_code == 200
    # Half of it was done already, as after a crash before the commit.
    await privacy.rows("UPDATE participant SET active = true WHERE name = $1", partner.name)
    again = await remove(privacy, partner.name)
    assert (again.status_code, again.json()["active"]) == (200, False)
    assert (await remove(privacy, partner.name)).json() == again.json()


async def test_one_that_left_owes_what_it_owed_and_nothing_new(
    privacy: Stand, troupe: Troupe, partner: Partner
) -> None:
    before = await ask(privacy)
    position = (await partner.next_command()).position
    left = await remove(privacy, partner.name)
    assert left.status_code == 200, left.text
    assert (left.json()["active"], left.json()["open_steps"]) == (False, 1)
    assert await listed(privacy, partner.name) == left.json()
    after = await ask(privacy)
    await completed(privacy, after)
    assert partner.name not in str(await state(privacy, after))
    assert open_steps(await state(privacy, before)) == [partner.name]
    assert privacy.heard_count(ErasureCompleted, erasure_id=before) == 0
    assert not await may_enter(privacy, partner.user, partner.credentials["password"])
    async with httpx2.AsyncClient(base_url=privacy.management_url) as broker:
        for path in (
            f"users/{partner.user}",
            f"queues/{privacy.vhost}/{partner.credentials['queue']}",
            f"policies/{privacy.vhost}/ext-{partner.name}",
        ):
            assert (await broker.get(f"/api/{path}")).status_code == 404
    assert (await rotate(privacy, partner.name)).json()["type"].endswith("participant-left")

    # Back as itself, it is told again what it has not answered, and can answer it.
    other = {"name": partner.name, "contact": "autre@ailleurs.example"}
    refused = await act(privacy, "POST", json=other)
    assert refused.json()["type"].endswith("participant-exists")
    answer = await act(privacy, "POST", json={**other, "contact": CONTACT.upper()})
    assert answer.status_code == 201, answer.text
    given = answer.json()
    assert given["password"] != partner.credentials["password"]
    assert (await act(privacy, "POST", json={**other, "contact": CONTACT})).status_code == 409
    await privacy.rows("UPDATE broadcast SET chase_at = now() WHERE chase_at IS NOT NULL")
    async with await connected(privacy, user=partner.user, password=given["password"]) as line:
        back = replace(partner, channel=await line.channel())
        told = set()
        while told != {position, position + 1}:  # and of what it has missed meanwhile, in any order
            command = await back.next_command()
            told.add(command.position)
            await back.give_word(command)
        await completed(privacy, before)


async def test_who_did_it_is_written_down(privacy: Stand) -> None:
    operator = new_id()
    headers = privacy.token(operator, roles=[Role.OPERATOR])
    name = f"demo-{uuid4().hex[:8]}"
    wish = {"name": name, "contact": CONTACT}
    given = await act(privacy, "POST", json=wish, headers=headers)
    assert given.status_code == 201
    assert (await rotate(privacy, name, headers=headers)).status_code == 201
    assert (await remove(privacy, name, headers=headers)).status_code == 200
    with broker_administration_away(privacy):
        assert (await act(privacy, "POST", json=wish, headers=headers)).status_code == 502
    for viewer in (headers, dpo(privacy)):
        answer = await privacy.client.get("/api/privacy/operator-actions", headers=viewer)
        mine = [one for one in answer.json()["items"] if one["person_id"] == str(operator)]
        assert [one["action"] for one in mine] == [
            "participants.remove",
            "participants.rotate",
            "participants.admit",
        ]
        assert mine[0]["about"] == {"participant": name, "open_steps": 0}
        assert given.json()["password"] not in answer.text


async def test_two_operators_at_once_leave_one_password_that_works(
    privacy: Stand, partner: Partner
) -> None:
    answers = await asyncio.gather(*(rotate(privacy, partner.name) for _ in range(3)))
    works = [
        await may_enter(privacy, partner.user, answer.json()["password"]) for answer in answers
    ]
    assert sorted(works) == [False, False, True]


async def test_a_partner_cannot_reach_another_partner(privacy: Stand, partner: Partner) -> None:
    async with a_partner(privacy) as other:
        for attempt in (_read_of(other), _speak_as(other)):
            line = await connected(
                privacy, user=partner.user, password=partner.credentials["password"]
            )
            async with line:
                with pytest.raises(aio_pika.exceptions.AMQPError, match="REFUSED|PRECONDITION"):
                    await attempt(replace(partner, channel=await line.channel()))


def _read_of(other: Partner) -> Any:
    async def read(partner: Partner) -> None:
        queue = await partner.channel.get_queue(other.credentials["queue"], ensure=False)
        await queue.get(fail=False)

    return read


def _speak_as(other: Partner) -> Any:
    async def speak(partner: Partner) -> None:
        await replace(partner, user=other.user).publish(b"{}", "erasure_acknowledged")

    return speak


async def test_a_partner_that_never_reads_loses_its_own_oldest_and_harms_nobody(
    privacy: Stand, troupe: Troupe, partner: Partner
) -> None:
    policy = f"/api/policies/{privacy.vhost}/ext-{partner.name}"
    async with httpx2.AsyncClient(base_url=privacy.management_url) as broker:
        found = (await broker.get(policy)).json()
        assert found["definition"] == {"max-length": 100_000}
        found["definition"]["max-length"] = 3
        (await broker.put(policy, json=found)).raise_for_status()
    async with a_partner(privacy) as other:
        erasure_id = await ask(privacy)
        told = await other.next_command()
        for _ in range(20):
            await privacy.say(
                MembershipGranted(
                    membership_id=new_id(),
                    person_id=new_id(),
                    company_id=new_id(),
                    community_id=new_id(),
                )
            )
        await other.give_word(told)
        heard = await _everything(other)
        assert len(heard) == 20, "the other one misses nothing"
        kept = await _everything(partner)
        assert kept == heard[-3:], "the newest"
        assert open_steps(await state(privacy, erasure_id)) == [partner.name]
        # The command went with the oldest. It is given again, until it is answered.
        await privacy.rows("UPDATE broadcast SET chase_at = now() WHERE chase_at IS NOT NULL")
        await partner.give_word(await partner.next_command())
        await completed(privacy, erasure_id)


async def _everything(partner: Partner) -> list[bytes]:
    """What waits in its queue, once a fact has arrived."""
    queue = await partner.channel.get_queue(partner.credentials["queue"], ensure=False)
    found: list[bytes] = []
    for _ in range(200):
        while (message := await queue.get(fail=False)) is not None:
            await message.ack()
            found.append(message.body)
        if found:
            await asyncio.sleep(0.3)
            if (message := await queue.get(fail=False)) is None:
                break
            await message.ack()
            found.append(message.body)
        await asyncio.sleep(0.02)
    return found
