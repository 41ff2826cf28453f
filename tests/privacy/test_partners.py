"""Partner systems: admitted by an operator, with a place on the broker and nothing beyond it."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import aio_pika
import pytest

from chassis.auth import Role
from chassis.ids import new_id
from contracts.base import Kind
from contracts.privacy import ErasureCompleted
from tests.privacy.conftest import a_partner
from tests.privacy.troupe import (
    Partner,
    Troupe,
    ask,
    completed,
    connected,
    dpo,
    open_steps,
    state,
)
from tests.stand import Stand

PARTICIPANTS = "/api/privacy/participants"


def wish(**changes: object) -> dict[str, object]:
    return {
        "name": f"demo-{uuid4().hex[:8]}",
        "contact": "rgpd@partenaire.example",
        "deadline_days": 10,
    } | changes


async def test_only_an_operator_admits_a_partner(privacy: Stand) -> None:
    for headers, expected in (
        ({}, 401),
        (privacy.token(new_id()), 403),
        (privacy.token(new_id(), roles=[Role.DPO, Role.AGENT, Role.BUYER]), 403),
        (privacy.token(scopes=["identity:addresses"]), 403),
    ):
        answer = await privacy.client.post(PARTICIPANTS, json=wish(), headers=headers)
        assert answer.status_code == expected
    for headers, expected in (
        ({}, 401),
        (privacy.token(new_id(), roles=[Role.AGENT]), 403),
        (dpo(privacy), 200),
        (privacy.token(new_id(), roles=[Role.OPERATOR]), 200),
    ):
        assert (await privacy.client.get(PARTICIPANTS, headers=headers)).status_code == expected


async def test_an_admitted_partner_is_listed_without_its_secret(
    privacy: Stand, partner: Partner
) -> None:
    answer = await privacy.client.get(PARTICIPANTS, headers=dpo(privacy))
    [listed] = [one for one in answer.json() if one["name"] == partner.name]
    assert (listed["kind"], listed["active"]) == ("partner", True)
    assert partner.credentials["password"] not in answer.text
    notice = (await privacy.client.get("/api/privacy/notice")).json()
    assert partner.name in notice["partners"]
    for table in ("participant", "outbox", "inbox"):
        rows = await privacy.rows(f"SELECT t::text FROM {table} t")
        assert partner.credentials["password"] not in str(rows)


@pytest.mark.parametrize("name", ["directory", "privacy", None])
async def test_a_name_that_is_taken_is_refused_and_changes_nothing(
    privacy: Stand, partner: Partner, name: str | None
) -> None:
    operator = privacy.token(new_id(), roles=[Role.OPERATOR])
    answer = await privacy.client.post(
        PARTICIPANTS, json=wish(name=name or partner.name), headers=operator
    )
    assert answer.status_code == 409
    assert answer.json()["type"].endswith("participant-exists")
    credentials = partner.credentials
    again = await connected(privacy, user=partner.user, password=credentials["password"])
    await again.close()


async def test_while_the_broker_s_administration_is_away_nothing_is_registered(
    privacy: Stand,
) -> None:
    body = wish()
    runtime = privacy.app.state.runtime
    settings = runtime.settings
    for away in (
        "http://guest:guest@127.0.0.1:9/x",
        settings.broker_admin_url.replace("//", "//x"),
    ):
        runtime.settings = settings.model_copy(update={"broker_admin_url": away})
        try:
            answer = await privacy.client.post(
                PARTICIPANTS,
                json=body,
                headers=privacy.token(new_id(), roles=[Role.OPERATOR]),
            )
        finally:
            runtime.settings = settings
        assert (answer.status_code, answer.json()["title"]) == (
            502,
            "Le bus de messages ne répond pas comme attendu",
        )
    assert not await privacy.rows("SELECT 1 FROM participant WHERE name = $1", body["name"])


async def test_a_partner_reads_its_own_queue_and_answers_and_can_do_nothing_else(
    privacy: Stand, troupe: Troupe, partner: Partner
) -> None:
    erasure_id = await ask(privacy)
    command = await partner.next_command()
    assert str(erasure_id) in str(command)
    password = partner.credentials["password"]

    async def try_it(attempt: str) -> None:
        async with await connected(privacy, user=partner.user, password=password) as line:
            channel = await line.channel()
            await ATTEMPTS[attempt](replace(partner, channel=channel))
            await channel.declare_queue("nothing", passive=True)  # a refusal may come late

    for attempt in ATTEMPTS:
        with pytest.raises(aio_pika.exceptions.AMQPError, match="ACCESS_REFUSED|PRECONDITION"):
            await try_it(attempt)
    await partner.give_word(command)
    await completed(privacy, erasure_id)


async def read(partner: Partner, queue: str) -> None:
    found = await partner.channel.get_queue(queue, ensure=False)
    await found.get(fail=False)


async def declare(partner: Partner) -> None:
    await partner.channel.declare_queue("mine", durable=True)


async def bind(partner: Partner) -> None:
    queue = await partner.channel.get_queue(partner.credentials["queue"], ensure=False)
    await queue.bind(Kind.FACT.value, "#")


async def delete_own_queue(partner: Partner) -> None:
    await partner.channel.queue_delete(partner.credentials["queue"])


async def in_another_name(partner: Partner) -> None:
    vhost = partner.user.partition("-ext-")[0]
    await replace(partner, user=f"{vhost}-directory").publish(b"{}", "erasure_acknowledged")


async def into_a_queue(partner: Partner) -> None:
    message = aio_pika.Message(b"{}", user_id=partner.user)
    await partner.channel.default_exchange.publish(message, "privacy.acks", timeout=10)


ATTEMPTS = {
    "read another service's erasures": lambda p: read(p, "directory.erasure"),
    "read facts": lambda p: read(p, "directory.events"),
    "read answers": lambda p: read(p, "privacy.acks"),
    "read dead letters": lambda p: read(p, "privacy.dead"),
    "publish a fact": lambda p: p.publish(b"{}", "identity.account_locked.v1", exchange=Kind.FACT),
    "publish a fact of its own": lambda p: p.publish(b"{}", "ext.x.v1", exchange=Kind.FACT),
    "give a command": lambda p: p.publish(b"{}", "privacy.erase.v1", exchange=Kind.COMMAND),
    "announce a manifest": lambda p: p.publish(b"{}", "manifest_announced"),
    "speak in another name": in_another_name,
    "publish into a queue": into_a_queue,
    "make a queue": declare,
    "hear everything": bind,
    "delete its queue": delete_own_queue,
}


async def test_a_new_partner_takes_part_from_the_next_broadcast_on(
    privacy: Stand, troupe: Troupe
) -> None:
    with troupe.silent("directory") as directory:
        before = await ask(privacy)
        command = await directory.commanded(before)
        async with a_partner(privacy) as partner:
            assert partner.name not in str(await state(privacy, before))
            after = await ask(privacy)
            second = await directory.commanded(after)
            assert partner.name in open_steps(await state(privacy, after))
            for each in (command, second):
                await directory.acknowledge(each)
            await completed(privacy, before)
            assert open_steps(await state(privacy, after)) == [partner.name]
            await asyncio.sleep(1)
            assert privacy.heard_count(ErasureCompleted, erasure_id=after) == 0
            told = await partner.next_command()
            assert told == second
            await partner.give_word(told)
            await completed(privacy, after)


async def test_a_partner_s_word_is_told_apart_from_a_service_s_proof(
    privacy: Stand, troupe: Troupe, partner: Partner
) -> None:
    erasure_id = await ask(privacy)
    await partner.give_word(await partner.next_command())
    await completed(privacy, erasure_id)
    answer = await privacy.client.get(
        f"/api/privacy/certificates/{erasure_id}", headers=dpo(privacy)
    )
    by_name = {one["name"]: one for one in answer.json()["certificate"]["participants"]}
    assert (by_name[partner.name]["kind"], by_name[partner.name]["tables"]) == ("partner", None)
    assert by_name["directory"]["kind"] == "service"
    assert by_name["directory"]["tables"]["profile"]["deleted"] == 1
