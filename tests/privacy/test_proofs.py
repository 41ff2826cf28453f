"""What becomes of proofs: further wishes share them, floods do not bury them, and they end."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chassis import clock
from chassis.evidence import digest
from chassis.ids import new_id
from contracts.privacy import Erase, ErasureCompleted
from services.privacy.jobs.proofs import prune
from tests.privacy.conftest import Members, a_partner, another_replica
from tests.privacy.test_protocol import completed_inbox, ledger
from tests.privacy.test_status import key_of, status
from tests.privacy.troupe import (
    Partner,
    Troupe,
    answers_uncalled,
    ask,
    completed,
    dpo,
    open_steps,
    refused,
    state,
)
from tests.stand import Stand


async def test_a_further_wish_shares_state_and_certificate_with_the_erasure_under_way(
    privacy: Stand, troupe: Troupe
) -> None:
    person = new_id()
    with troupe.silent("directory") as directory:
        first = await ask(privacy, person)
        command = await directory.commanded(first)
        second = await ask(privacy, person)
        for _ in range(3):
            await ask(privacy, person, erasure_id=second)
        await completed_inbox(privacy)
        own = key_of(privacy, second)
        view = (await status(privacy, second, own)).json()
        assert (view["erasure_id"], view["state"]) == (str(second), "open")
        assert "directory" in open_steps(view)
        assert (await status(privacy, second, own, of="certificates")).status_code == 409
        assert (await status(privacy, first, own)).status_code == 404
        await directory.acknowledge(command)
    await completed(privacy, first)
    view = (await status(privacy, second, own)).json()
    assert (view["state"], open_steps(view)) == ("completed", [])
    mine = (await privacy.client.get(view["certificate"], headers=own)).json()
    theirs = (await status(privacy, first, dpo(privacy), of="certificates")).json()
    assert mine == theirs
    assert mine["certificate"]["erasure_id"] == str(first)
    [row] = await privacy.rows("SELECT count(*) FROM erasure WHERE subject_id = $1", person)
    assert row["count"] == 1


async def test_a_wish_that_is_heard_only_after_the_erasure_is_told_that_it_is_done(
    privacy: Stand, troupe: Troupe
) -> None:
    person = new_id()
    first = await ask(privacy, person)
    await completed(privacy, first)
    late = await ask(privacy, person)
    await completed_inbox(privacy)
    view = (await status(privacy, late, key_of(privacy, late))).json()
    assert (view["state"], view["erasure_id"]) == ("completed", str(late))
    assert privacy.heard_count(ErasureCompleted, erasure_id=late) == 0
    told = [e for e in privacy.heard if e["type"] == Erase.event_type() and str(late) in str(e)]
    assert told == []


async def test_wishes_through_several_doors_at_once_are_one_erasure(
    privacy: Stand, troupe: Troupe
) -> None:
    person = new_id()
    async with another_replica(privacy):
        asked = await asyncio.gather(*(ask(privacy, person) for _ in range(8)))
        await completed_inbox(privacy)
    for one in asked:
        for _ in range(250):
            if (await state(privacy, one))["state"] == "completed":
                break
            await asyncio.sleep(0.02)
        else:
            raise AssertionError(one)
    rows = await privacy.rows("SELECT erasure_id FROM erasure WHERE subject_id = $1", person)
    assert len(rows) == 1


async def test_a_partner_that_came_later_answers_a_repetition_and_raises_no_alarm(
    privacy: Stand, troupe: Troupe
) -> None:
    try:
        with troupe.silent("directory") as directory:
            erasure_id = await ask(privacy)
            command = await directory.commanded(erasure_id)
            async with a_partner(privacy) as partner:
                before = answers_uncalled()
                clock.shift(timedelta(seconds=6))
                assert await partner.next_command() == command
                await partner.give_word(command)
                for _ in range(500):
                    if answers_uncalled() > before:
                        break
                    await asyncio.sleep(0.02)
                assert answers_uncalled() == before + 1
                own = "SELECT 1 FROM refusal WHERE sender = $1"
                assert not await privacy.rows(own, partner.user)
                assert partner.name not in str(await state(privacy, erasure_id))
                # About somebody else it is a lie, whoever says it.
                stranger = {"erasure_id": str(new_id()), "outcome": "erased"}
                await partner.give_word(command, stranger)
                await refused(privacy, "somebody-else", sender=partner.user)
                # Once it was removed nothing it says is expected any more.
                await privacy.rows(
                    "UPDATE participant SET active = false WHERE name = $1", partner.name
                )
                await partner.give_word(command)
                await privacy.eventually(
                    "SELECT sum(times) = 2 FROM refusal"
                    " WHERE sender = $1 AND cause = 'somebody-else'",
                    partner.user,
                )
            await directory.acknowledge(command)
        await completed(privacy, erasure_id)
    finally:
        clock.shift(timedelta(0))


async def test_who_floods_with_lies_fills_one_row_an_hour_and_holds_nobody_up(
    privacy: Stand, troupe: Troupe, partner: Partner
) -> None:
    erasure_id = await ask(privacy)
    command = await partner.next_command()
    await asyncio.gather(
        *(partner.give_word(command, entry_hash=f"{number:064}") for number in range(40))
    )
    await partner.give_word(command)
    await completed(privacy, erasure_id)
    rows = await privacy.rows("SELECT * FROM refusal WHERE sender = $1", partner.user)
    assert 1 <= len(rows) <= 2  # an hour may end meanwhile
    assert sum(row["times"] for row in rows) == 40
    listed = await privacy.client.get("/api/privacy/refusals?limit=100", headers=dpo(privacy))
    times = [one["times"] for one in listed.json() if one["sender"] == partner.user]
    assert sum(times) == 40
    try:
        clock.shift(timedelta(days=364))
        await prune(privacy.runtime)
        assert await privacy.rows("SELECT 1 FROM refusal WHERE sender = $1", partner.user)
        clock.shift(timedelta(days=366))
        await prune(privacy.runtime)
        assert not await privacy.rows("SELECT 1 FROM refusal WHERE sender = $1", partner.user)
    finally:
        clock.shift(timedelta(0))


async def kept_until(privacy: Stand, erasure_id: UUID) -> datetime:
    answer = await status(privacy, erasure_id, dpo(privacy), of="certificates")
    [until] = [
        kept["until"]
        for kept in answer.json()["certificate"]["kept"]
        if (kept["rule"], kept["table"]) == ("erasure-proof", "erasure")
    ]
    return datetime.fromisoformat(until)


async def traces(privacy: Stand, erasure_id: UUID) -> dict[str, Any]:
    """The tables that still name this erasure, ledger entries included."""
    tables = ("erasure", "erasure_alias", "step", "last_message", "escalation", "waiver", "missed")
    found = {
        table: len(await privacy.rows(f"SELECT 1 FROM {table} WHERE erasure_id = $1", erasure_id))
        for table in (*tables,)
    }
    found["broadcast"] = len(
        await privacy.rows(
            "SELECT 1 FROM broadcast WHERE strpos(entry::text, $1) > 0", str(erasure_id)
        )
    )
    return {table: rows for table, rows in found.items() if rows}


async def test_proofs_stay_until_the_date_that_the_certificate_tells_and_the_chain_stays_whole(
    privacy: Stand, troupe: Troupe, members: Members
) -> None:
    person = new_id()
    async with a_partner(privacy) as partner:
        old = await ask(privacy, person)
        command = await partner.next_command()
        alias = await ask(privacy, person)
        await completed_inbox(privacy)
        await privacy.client.post(
            f"/api/privacy/erasures/{old}/steps/{partner.name}/waiver",
            json={"reason": "nothing_sent"},
            headers=dpo(privacy),
        )
        await completed(privacy, old)
        await privacy.rows("UPDATE participant SET active = false WHERE name = $1", partner.name)
        await privacy.rows(
            "INSERT INTO missed (erasure_id, participant, position, times, tell_at)"
            " VALUES ($1, $2, $3, 0, now())",
            old,
            partner.name,
            command.position,
        )
    until = await kept_until(privacy, old)
    with troupe.silent("directory") as directory:
        still_open = await ask(privacy)
        open_command = await directory.commanded(still_open)
        try:
            clock.shift(until - clock.now() - timedelta(minutes=1))
            await prune(privacy.runtime)
            assert set(await traces(privacy, old)) >= {
                *("erasure", "step", "waiver", "missed", "broadcast")
            }
            assert (await state(privacy, alias))["state"] == "completed"
            clock.shift(timedelta(0))
            clock.shift(until - clock.now() + timedelta(minutes=1))
            await prune(privacy.runtime)
            assert await traces(privacy, old) == {}
            answer = await privacy.client.get(
                f"/api/privacy/erasures/{alias}", headers=dpo(privacy)
            )
            assert answer.status_code == 404
            # What is not proven is never pruned, however old.
            assert set(await traces(privacy, still_open)) >= {"erasure", "step", "broadcast"}
        finally:
            clock.shift(timedelta(0))
        await directory.acknowledge(open_command)
    await completed(privacy, still_open)
    await completed(privacy, await ask(privacy))
    rows = await privacy.rows("SELECT position, entry, entry_hash FROM broadcast ORDER BY position")
    copy, previous = ledger(privacy), "0" * 64
    assert [row["position"] for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        entry = json_of(row["entry"])
        assert entry["previous_hash"] == previous
        if "subjects" in entry:
            assert digest(entry) == row["entry_hash"]
        previous = row["entry_hash"]
        assert copy[row["position"]]["entry_hash"] == row["entry_hash"]
    assert "subjects" not in json_of(rows[command.position - 1]["entry"])


def json_of(column: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(column)
    return found
