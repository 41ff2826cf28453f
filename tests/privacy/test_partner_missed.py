"""A partner system that was away hears of the erasures that it missed, and is seen to answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from chassis.auth import Role
from chassis.ids import new_id
from contracts.privacy import ErasureCompleted
from tests.privacy.conftest import a_partner
from tests.privacy.test_partner_lives import CONTACT, act, listed, remove
from tests.privacy.troupe import (
    Data,
    Partner,
    Troupe,
    answers_uncalled,
    ask,
    completed,
    connected,
    dpo,
    refused,
    state,
)
from tests.stand import Stand


async def missed(stand: Stand, name: str, query: str = "", **more: Any) -> Any:
    """What the DPO reads about a partner that was away."""
    answer = await act(
        stand, "GET", f"/{name}/missed{query}", headers=more.pop("headers", dpo(stand))
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


async def answered(stand: Stand, erasure_id: UUID) -> None:
    await stand.eventually(
        "SELECT outcome IS NOT NULL FROM missed WHERE erasure_id = $1", erasure_id
    )


async def tell_again(stand: Stand, name: str) -> None:
    """Five minutes have passed."""
    await stand.rows("UPDATE missed SET tell_at = now() WHERE participant = $1", name)
    stand.runtime.db.bells["missed"].set()


async def position_of(stand: Stand, erasure_id: UUID) -> int:
    [row] = await stand.rows("SELECT position FROM erasure WHERE erasure_id = $1", erasure_id)
    return int(row["position"])


async def certificate(stand: Stand, erasure_id: UUID) -> Any:
    found = await stand.client.get(f"/api/privacy/certificates/{erasure_id}", headers=dpo(stand))
    assert found.status_code == 200, found.text
    return found.json()


@asynccontextmanager
async def back(stand: Stand, partner: Partner) -> AsyncIterator[Partner]:
    """The operator admits it again; it connects with what it is given."""
    answer = await act(stand, "POST", json={"name": partner.name, "contact": CONTACT})
    assert answer.status_code == 201, answer.text
    given = answer.json()
    async with await connected(stand, user=given["user"], password=given["password"]) as line:
        yield replace(partner, channel=await line.channel(), credentials=given)


async def test_one_that_comes_back_is_told_what_it_missed_and_is_seen_to_answer(
    privacy: Stand, troupe: Troupe, partner: Partner
) -> None:
    before = await ask(privacy)
    await partner.give_word(await partner.next_command())
    await completed(privacy, before)
    assert (await remove(privacy, partner.name)).json()["missed"] == 0
    people = [await ask(privacy) for _ in range(2)]
    for erasure_id in people:
        await completed(privacy, erasure_id)
    proofs = [await certificate(privacy, erasure_id) for erasure_id in people]
    positions = {await position_of(privacy, erasure_id) for erasure_id in people}

    async with back(privacy, partner) as again:
        told = {}
        while told.keys() != positions:
            command = await again.next_command()
            assert command.position in positions, "what it has answered is not told again"
            told[command.position] = command
        assert (await listed(privacy, partner.name))["missed"] == 2
        page = await missed(privacy, partner.name)
        assert [one["position"] for one in page["items"]] == sorted(positions, reverse=True)
        assert {(one["unanswered"] > 0, one["acknowledged_at"]) for one in page["items"]} == {
            (True, None)
        }
        for command in told.values():
            await again.give_word(command)
        for erasure_id in people:
            await answered(privacy, erasure_id)
        page = await missed(privacy, partner.name)
        assert [one["unanswered"] for one in page["items"]] == [0] * len(positions)
        assert all(one["acknowledged_at"] >= one["told_at"] for one in page["items"])
    left = await remove(privacy, partner.name)
    assert (left.json()["missed"], left.json()["open_steps"]) == (0, 0)
    # What was signed stays as it was, and nobody is told twice that it is done.
    for erasure_id, proof in zip(people, proofs, strict=True):
        assert await certificate(privacy, erasure_id) == proof
        assert partner.name not in str(await state(privacy, erasure_id))
        assert privacy.heard_count(ErasureCompleted, erasure_id=erasure_id) == 1


async def test_a_new_partner_is_told_of_nobody_from_before(privacy: Stand, troupe: Troupe) -> None:
    await completed(privacy, await ask(privacy))
    async with a_partner(privacy) as partner:
        own = await ask(privacy)
        command = await partner.next_command()
        assert command.position == await position_of(privacy, own)
        await partner.give_word(command)
        await completed(privacy, own)
        privacy.runtime.db.bells["missed"].set()
        await privacy.eventually(
            "SELECT looked_through >= $1 FROM participant WHERE name = $2",
            command.position,
            partner.name,
        )
        assert (await missed(privacy, partner.name))["items"] == []
        assert (await listed(privacy, partner.name))["missed"] == 0


async def test_it_is_told_again_until_it_answers_and_no_longer(
    privacy: Stand, troupe: Troupe, partner: Partner
) -> None:
    await remove(privacy, partner.name)
    erasure_id = await ask(privacy)
    await completed(privacy, erasure_id)
    async with back(privacy, partner) as again:
        first = await again.next_command()
        # Away once more, with the answer still owed: it stays written down, and is told at once again.
        await remove(privacy, partner.name)
    assert (await listed(privacy, partner.name))["missed"] == 1
    async with back(privacy, partner) as again:
        assert await again.next_command() == first
        await tell_again(privacy, partner.name)
        assert await again.next_command() == first
        await again.give_word(first)
        await answered(privacy, erasure_id)
        [row] = await privacy.rows(
            "SELECT times, tell_at - told_at AS pause FROM missed WHERE participant = $1",
            partner.name,
        )
        assert (row["times"], row["pause"]) == (2, timedelta(minutes=10))
        await tell_again(privacy, partner.name)
        following = await ask(privacy)
        command = await again.next_command()
        assert command.position == await position_of(privacy, following)
        await again.give_word(command)
        await completed(privacy, following)


def _of_everybody_and_a_stranger(own: Data) -> tuple[list[Data], Data]:
    return [own, {**own, "erasure_id": str(new_id())}], {}


LIES = {
    "a word that is the officer's": lambda own: ([{**own, "outcome": "waived"}], {}),
    "somebody else with them": _of_everybody_and_a_stranger,
    "the same person twice": lambda own: ([own, own], {}),
    "another entry": lambda own: ([own], {"entry_hash": "0" * 64}),
}


@pytest.mark.parametrize("lie", LIES)
async def test_an_answer_that_proves_nothing_is_none_about_what_was_missed_either(
    privacy: Stand, troupe: Troupe, partner: Partner, lie: str
) -> None:
    await remove(privacy, partner.name)
    erasure_id = await ask(privacy)
    await completed(privacy, erasure_id)
    async with back(privacy, partner) as again, a_partner(privacy) as other:
        command = await again.next_command()
        own = {"erasure_id": str(erasure_id), "outcome": "erased"}
        subjects, changes = LIES[lie](own)
        await again.give_word(command, *subjects, **changes)
        await refused_once_heard(privacy, again)
        uncalled = answers_uncalled()
        await other.give_word(command)  # right, but of somebody who had nothing to answer for
        for _ in range(500):
            if answers_uncalled() > uncalled:
                break
            await asyncio.sleep(0.02)
        else:
            raise AssertionError("the other partner was not heard")
        assert (await listed(privacy, partner.name))["missed"] == 1
        assert (await missed(privacy, other.name))["items"] == []
        held = {**own, "outcome": "nothing_held"}
        await again.give_word(command, held)
        await answered(privacy, erasure_id)
        await again.give_word(command, own)  # the first counts
        await again.give_word(command, {**own, "erasure_id": str(new_id())})
        await refused(privacy, "somebody-else", position=command.position, sender=again.user)
        [row] = await privacy.rows(
            "SELECT outcome FROM missed WHERE participant = $1", partner.name
        )
        assert row["outcome"] == "nothing_held"


async def refused_once_heard(stand: Stand, partner: Partner) -> None:
    """Wait for the refusal of what this partner said."""
    await stand.eventually("SELECT count(*) FROM refusal WHERE sender = $1", partner.user)


async def test_only_operators_and_the_officer_read_what_was_missed(
    privacy: Stand, partner: Partner
) -> None:
    path = f"/{partner.name}/missed"
    for headers, expected in (
        ({"X-Nobody": "1"}, 401),
        (privacy.token(new_id(), roles=[Role.AGENT, Role.BUYER]), 403),
        (privacy.token(new_id(), roles=[Role.OPERATOR]), 200),
        (dpo(privacy), 200),
    ):
        assert (await act(privacy, "GET", path, headers=headers)).status_code == expected
    assert (await act(privacy, "GET", "/nobody/missed")).status_code == 404
    for cursor in ("Wy0xXQ", "WzFlOTld", "bnVsbA"):  # [-1], [1e99], null
        assert (await act(privacy, "GET", f"{path}?after={cursor}")).status_code == 422
