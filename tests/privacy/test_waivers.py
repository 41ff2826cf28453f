"""The DPO ends steps that nobody will prove, and the certificate does not pretend otherwise."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx2
import pytest

from chassis.auth import Role
from chassis.ids import new_id
from contracts.privacy import ErasureCompleted
from tests.privacy.conftest import Members, a_partner
from tests.privacy.troupe import (
    Partner,
    Troupe,
    ask,
    completed,
    dpo,
    open_steps,
    state,
)
from tests.stand import Stand

GONE = {"reason": "system_gone", "reference": "DPO-2026/017"}


async def waive(
    stand: Stand,
    erasure_id: UUID,
    participant: str,
    *,
    body: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> httpx2.Response:
    return await stand.client.post(
        f"/api/privacy/erasures/{erasure_id}/steps/{participant}/waiver",
        json=GONE if body is None else body,
        headers=dpo(stand) if headers is None else headers,
    )


async def certificate(stand: Stand, erasure_id: UUID) -> dict[str, Any]:
    answer = await stand.client.get(f"/api/privacy/certificates/{erasure_id}", headers=dpo(stand))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def step(stand: Stand, erasure_id: UUID, participant: str) -> dict[str, Any]:
    steps = (await state(stand, erasure_id))["steps"]
    [found] = [one for one in steps if one["participant"] == participant]
    return dict(found)


@asynccontextmanager
async def only_missing(stand: Stand) -> AsyncIterator[tuple[Partner, UUID]]:
    """A partner that says nothing, and an erasure that everybody else has proven."""
    async with a_partner(stand) as partner:
        erasure_id = await ask(stand)
        await stand.eventually(
            "SELECT array_agg(participant::text) = ARRAY[$2] FROM step"
            " WHERE erasure_id = $1 AND outcome IS NULL",
            erasure_id,
            partner.name,
        )
        yield partner, erasure_id


async def test_a_waived_step_ends_the_erasure_and_is_never_called_proven(
    privacy: Stand, troupe: Troupe, members: Members
) -> None:
    person, email = await members.join()
    async with a_partner(privacy) as partner:
        erasure_id = await ask(privacy, person)
        await partner.next_command()
        answer = await waive(privacy, erasure_id, partner.name)
        assert (answer.status_code, answer.json()["reason"]) == (200, "system_gone")
        await completed(privacy, erasure_id)
        seen = await step(privacy, erasure_id, partner.name)
        assert (seen["outcome"], seen["acknowledged_at"]) == ("waived", None)
        assert seen["waiver"]["reference"] == "DPO-2026/017"
        signed = (await certificate(privacy, erasure_id))["certificate"]
        by_name = {one["name"]: one for one in signed["participants"]}
        told = by_name[partner.name]
        assert (told["outcome"], told["acknowledged_at"]) == ("waived", None)
        assert told["waiver"]["reason"] == "system_gone"
        assert "art. 19" in told["waiver"]["meaning"]
        assert "waiver" not in by_name["directory"]
        mail = await members.post.wait_for(email)
        text = mail.get_body(("plain",)).get_content()
        assert partner.name in text
        assert "chaque système partenaire l'a confirmé" not in text


async def test_the_same_waiver_again_changes_nothing_and_another_one_is_refused(
    privacy: Stand, troupe: Troupe
) -> None:
    async with only_missing(privacy) as (partner, erasure_id):
        answers = await asyncio.gather(
            *(waive(privacy, erasure_id, partner.name) for _ in range(5))
        )
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["waived_at"] for answer in answers}) == 1
        for other in ({"reason": "nothing_sent"}, {"reason": "system_gone"}):
            answer = await waive(privacy, erasure_id, partner.name, body=other)
            assert (answer.status_code, answer.json()["type"]) == (
                409,
                "urn:ccib:problem:step-ended",
            )
        await completed(privacy, erasure_id)
        assert privacy.heard_count(ErasureCompleted, erasure_id=erasure_id) == 1


async def test_what_is_proven_cannot_be_waived(privacy: Stand, troupe: Troupe) -> None:
    async with only_missing(privacy) as (partner, erasure_id):
        answer = await waive(privacy, erasure_id, "directory")
        assert answer.status_code == 409
        assert (await step(privacy, erasure_id, "directory"))["waiver"] is None
        await partner.give_word(await partner.next_command())
        await completed(privacy, erasure_id)
        assert (await waive(privacy, erasure_id, partner.name)).status_code == 409
        seen = await step(privacy, erasure_id, partner.name)
        assert (seen["outcome"], seen["waiver"]) == ("erased", None)


async def test_a_proof_that_comes_before_the_certificate_takes_the_place_of_the_waiver(
    privacy: Stand, troupe: Troupe, partner: Partner
) -> None:
    with troupe.silent("directory") as directory:
        erasure_id = await ask(privacy)
        command = await partner.next_command()
        assert (await waive(privacy, erasure_id, partner.name)).status_code == 200
        still_open = open_steps(await state(privacy, erasure_id))
        assert ("directory" in still_open, partner.name in still_open) == (True, False)
        await partner.give_word(command)
        await privacy.eventually(
            "SELECT outcome = 'erased' FROM step WHERE erasure_id = $1 AND participant = $2",
            erasure_id,
            partner.name,
        )
        await directory.acknowledge(command)
    await completed(privacy, erasure_id)
    signed = (await certificate(privacy, erasure_id))["certificate"]
    [told] = [one for one in signed["participants"] if one["name"] == partner.name]
    assert told["outcome"] == "erased"
    assert "waiver" not in told
    seen = await step(privacy, erasure_id, partner.name)
    assert seen["waiver"]["reason"] == "system_gone"


async def test_a_proof_that_comes_after_the_certificate_is_recorded_and_changes_no_certificate(
    privacy: Stand, troupe: Troupe
) -> None:
    async with only_missing(privacy) as (partner, erasure_id):
        command = await partner.next_command()
        await waive(privacy, erasure_id, partner.name)
        await completed(privacy, erasure_id)
        before = await certificate(privacy, erasure_id)
        await partner.give_word(command)
        await privacy.eventually(
            "SELECT acknowledged_at FROM step WHERE erasure_id = $1 AND participant = $2",
            erasure_id,
            partner.name,
        )
        assert await certificate(privacy, erasure_id) == before
        view = await state(privacy, erasure_id)
        [seen] = [one for one in view["steps"] if one["participant"] == partner.name]
        assert seen["outcome"] == "erased"
        assert seen["acknowledged_at"] > view["completed_at"]
        assert seen["waiver"]["reason"] == "system_gone"
        assert privacy.heard_count(ErasureCompleted, erasure_id=erasure_id) == 1


async def test_a_waiver_and_a_proof_at_the_same_instant_leave_the_proof(
    privacy: Stand, troupe: Troupe, partner: Partner
) -> None:
    with troupe.silent("directory") as directory:
        asked = await asyncio.gather(*(ask(privacy) for _ in range(5)))
        commands = {c.position: c for c in [await directory.commanded(one) for one in asked]}
        answers = await asyncio.gather(
            *(partner.give_word(command) for command in commands.values()),
            *(waive(privacy, one, partner.name) for one in asked),
        )
        assert {answer.status_code for answer in answers if answer} <= {200, 409}
        for erasure_id in asked:
            await privacy.eventually(
                "SELECT outcome = 'erased' FROM step WHERE erasure_id = $1 AND participant = $2",
                erasure_id,
                partner.name,
            )
        for command in commands.values():
            await directory.acknowledge(command)
    for erasure_id in asked:
        await completed(privacy, erasure_id)


async def test_every_open_step_of_a_system_that_was_removed_is_waived_at_once(
    privacy: Stand, troupe: Troupe
) -> None:
    async with a_partner(privacy) as partner:
        path = f"/api/privacy/participants/{partner.name}/waiver"
        asked = await asyncio.gather(*(ask(privacy) for _ in range(3)))
        for erasure_id in asked:
            await troupe["directory"].commanded(erasure_id)
        answer = await privacy.client.post(path, json=GONE, headers=dpo(privacy))
        assert (answer.status_code, answer.json()["type"]) == (
            409,
            "urn:ccib:problem:participant-takes-part",
        )
        await privacy.rows("UPDATE participant SET active = false WHERE name = $1", partner.name)
        counted = []
        for _ in range(2):
            answer = await privacy.client.post(path, json=GONE, headers=dpo(privacy))
            counted.append(answer.json())
        assert [one["waived"] for one in counted] == [3, 0]
        for erasure_id in asked:
            await completed(privacy, erasure_id)
    nobody = "/api/privacy/participants/nobody/waiver"
    assert (await privacy.client.post(nobody, json=GONE, headers=dpo(privacy))).status_code == 404


async def test_only_the_dpo_waives_and_only_what_is_there(privacy: Stand, troupe: Troupe) -> None:
    async with only_missing(privacy) as (partner, erasure_id):
        paths = (
            f"/api/privacy/erasures/{erasure_id}/steps/{partner.name}/waiver",
            f"/api/privacy/participants/{partner.name}/waiver",
        )
        for headers, expected in (
            ({}, 401),
            (privacy.token(new_id()), 403),
            (privacy.token(new_id(), roles=[Role.OPERATOR, Role.AGENT, Role.BUYER]), 403),
            (privacy.token(scopes=["identity:addresses"]), 403),
        ):
            for path in paths:
                answer = await privacy.client.post(path, json=GONE, headers=headers)
                assert answer.status_code == expected
        assert (await waive(privacy, new_id(), partner.name)).status_code == 404
        assert (await waive(privacy, erasure_id, "nobody")).status_code == 404
        assert (await waive(privacy, erasure_id, "x" * 100)).status_code == 422
        assert open_steps(await state(privacy, erasure_id)) == [partner.name]
        await partner.give_word(await partner.next_command())
        await completed(privacy, erasure_id)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason": "because"},
        {"reason": "system_gone", "reference": "Madame Dupont a téléphoné"},
        {"reason": "system_gone", "reference": ""},
        {"reason": "system_gone", "reference": "A" * 41},
        {"reason": "system_gone", "reference": "-A"},
        {"reason": "system_gone", "comment": "a text"},
        {"reason": ["system_gone"]},
    ],
    ids=range(8),
)
async def test_a_waiver_has_a_reason_of_the_list_and_no_text(
    privacy: Stand, body: dict[str, Any]
) -> None:
    answer = await waive(privacy, new_id(), "directory", body=body)
    assert answer.status_code == 422


async def test_who_waived_leaves_with_their_account_and_the_decision_stays(
    privacy: Stand, troupe: Troupe
) -> None:
    officer = new_id()
    async with only_missing(privacy) as (partner, erasure_id):
        headers = privacy.token(officer, roles=[Role.DPO])
        await waive(privacy, erasure_id, partner.name, headers=headers)
        await completed(privacy, erasure_id)
    [row] = await privacy.rows("SELECT * FROM waiver WHERE erasure_id = $1", erasure_id)
    assert row["waived_by"] == officer
    own = await ask(privacy, officer)
    await completed(privacy, own)
    [row] = await privacy.rows("SELECT * FROM waiver WHERE erasure_id = $1", erasure_id)
    assert (row["waived_by"], row["reason"]) == (None, "system_gone")
    signed = (await certificate(privacy, own))["certificate"]
    [held] = [one for one in signed["held"] if one["table"] == "waiver"]
    assert (held["participant"], held["detached"]) == ("privacy", 1)
    assert officer.hex not in str(await privacy.rows("SELECT waiver::text FROM waiver"))
