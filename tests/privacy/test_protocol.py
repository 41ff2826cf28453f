"""From a wish to a command on the bus: one erasure per person, one entry of the ledger per broadcast."""

import asyncio
import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import REGISTRY

from chassis import clock
from chassis.evidence import digest
from chassis.ids import new_id
from chassis.ledger import NO_PREVIOUS
from contracts.identity import AccountLocked, AccountOpened
from contracts.privacy import Erase, ErasureCompleted
from tests.privacy.conftest import OTHERS, Members, another_replica
from tests.privacy.troupe import Troupe, ask, completed, open_steps, state
from tests.stand import Stand


def ledger(privacy: Stand) -> dict[int, dict[str, Any]]:
    """The entries of the copy outside the database, by position."""
    folder = Path(urlsplit(privacy.settings.ledger_url).path)
    return {int(file.stem): json.loads(file.read_bytes()) for file in folder.glob("0*.json")}


def proofs() -> Counter[str]:
    """By participant: of how many erasures the metrics say how long its proof took."""
    return Counter(
        {
            sample.labels["participant"]: int(sample.value)
            for metric in REGISTRY.collect()
            for sample in metric.samples
            if sample.name == "ccib_erasure_proven_seconds_count"
        }
    )


async def entry_of(privacy: Stand, erasure_id: object) -> dict[str, Any]:
    """The entry of the copy that names this erasure."""
    position = await privacy.eventually(
        "SELECT position FROM erasure WHERE erasure_id = $1", erasure_id
    )
    for _ in range(250):
        if position in ledger(privacy):
            return ledger(privacy)[position]
        await asyncio.sleep(0.02)
    raise AssertionError(f"position {position} is not in the copy")


async def test_signing_up_is_a_consent_that_its_owner_reads(privacy: Stand) -> None:
    person, now = new_id(), clock.now()
    await privacy.say(AccountOpened(account_id=person, notice_version="2026-11", opened_at=now))
    await privacy.eventually("SELECT count(*) FROM consent WHERE person_id = $1", person)
    answer = await privacy.client.get("/api/privacy/me/consents", headers=privacy.token(person))
    [consent] = answer.json()
    assert consent["notice_version"] == "2026-11"
    assert datetime.fromisoformat(consent["given_at"]) == now
    other = await privacy.client.get("/api/privacy/me/consents", headers=privacy.token(new_id()))
    assert other.json() == []


async def test_a_wish_ends_as_a_certificate_and_the_consent_is_gone(
    privacy: Stand, troupe: Troupe
) -> None:
    person, counted = new_id(), proofs()
    opened = AccountOpened(account_id=person, notice_version="2026-11", opened_at=clock.now())
    await privacy.say(opened)
    erasure_id = await ask(privacy, person)
    await completed(privacy, erasure_id)
    assert (proofs() - counted).keys() >= {"privacy", *OTHERS}  # how long each took is a metric
    view = await state(privacy, erasure_id)
    assert view["state"] == "completed"
    assert {step["participant"] for step in view["steps"]} == {"privacy", *OTHERS}
    assert view["certificate"] == f"/api/privacy/certificates/{erasure_id}"
    assert not await privacy.rows("SELECT 1 FROM consent WHERE person_id = $1", person)
    me = await privacy.client.get("/api/privacy/me/consents", headers=privacy.token(person))
    assert me.status_code == 401


async def test_the_copy_of_the_ledger_is_written_before_the_command_is_heard(
    privacy: Stand, troupe: Troupe
) -> None:
    folder = Path(urlsplit(privacy.settings.ledger_url).path)
    with troupe.silent("directory") as directory:
        erasure_id = await ask(privacy)
        command = await directory.commanded(erasure_id)
        copy = folder / f"{command.position:012d}.json"
        [sent] = await privacy.rows(
            "SELECT sent_at FROM broadcast WHERE position = $1", command.position
        )
        assert copy.stat().st_mtime <= sent["sent_at"].timestamp()
        kept = json.loads(copy.read_bytes())
        assert kept["entry_hash"] == command.entry_hash == digest(kept["entry"])
        assert [s["erasure_id"] for s in kept["entry"]["subjects"]] == [
            str(subject.erasure_id) for subject in command.subjects
        ]
        await directory.acknowledge(command)
    await completed(privacy, erasure_id)


async def test_nothing_is_commanded_while_the_copy_cannot_be_written(
    privacy: Stand, troupe: Troupe
) -> None:
    folder = Path(urlsplit(privacy.settings.ledger_url).path)
    away = folder.rename(folder.with_name("away"))
    try:
        erasure_id = await ask(privacy)
        await privacy.eventually("SELECT position FROM erasure WHERE erasure_id = $1", erasure_id)
        await asyncio.sleep(1.5)
        assert not [c for c in troupe["directory"].commands if str(erasure_id) in str(c)]
    finally:
        away.rename(folder)
    await completed(privacy, erasure_id)


async def test_each_entry_is_chained_to_the_one_before(privacy: Stand, troupe: Troupe) -> None:
    for _ in range(3):
        await completed(privacy, await ask(privacy))
    entries = ledger(privacy)
    assert sorted(entries) == list(range(1, len(entries) + 1))
    previous = NO_PREVIOUS
    for position in sorted(entries):
        assert entries[position]["entry"]["previous_hash"] == previous
        assert digest(entries[position]["entry"]) == entries[position]["entry_hash"]
        previous = entries[position]["entry_hash"]


async def test_requests_that_wait_ride_together_at_most_five_hundred_at_a_time(
    privacy: Stand, troupe: Troupe, members: Members
) -> None:
    await members.down()
    asked = await asyncio.gather(*(ask(privacy) for _ in range(550)))
    await privacy.eventually(
        "SELECT count(*) = 550 FROM erasure WHERE erasure_id = ANY($1) AND position IS NULL",
        asked,
    )
    await members.up()
    await privacy.eventually(
        "SELECT count(*) = 550 FROM erasure WHERE erasure_id = ANY($1)"
        " AND completed_at IS NOT NULL",
        asked,
        seconds=30,
    )
    found = await privacy.rows(
        "SELECT count(*) FROM erasure WHERE erasure_id = ANY($1) GROUP BY position", asked
    )
    assert sorted(row["count"] for row in found) == [50, 500]


async def test_a_wish_told_five_times_is_one_erasure(privacy: Stand, troupe: Troupe) -> None:
    person, erasure_id = new_id(), new_id()
    with troupe.silent("directory") as directory:
        for _ in range(5):
            await ask(privacy, person, erasure_id=erasure_id)
        command = await directory.commanded(erasure_id)
        await directory.acknowledge(command)
    await completed(privacy, erasure_id)
    await ask(privacy, person, erasure_id=erasure_id)
    await completed(privacy, await ask(privacy))
    [row] = await privacy.rows("SELECT count(*) FROM erasure WHERE subject_id = $1", person)
    assert row["count"] == 1
    assert privacy.heard_count(ErasureCompleted, erasure_id=erasure_id) == 1


async def test_a_person_has_one_active_erasure_whatever_door_it_came_through(
    privacy: Stand, troupe: Troupe
) -> None:
    person = new_id()
    with troupe.silent("directory") as directory:
        first = await ask(privacy, person)
        second = await ask(privacy, person)
        command = await directory.commanded(first)
        await completed_inbox(privacy)
        rows = await privacy.rows("SELECT erasure_id FROM erasure WHERE subject_id = $1", person)
        assert [row["erasure_id"] for row in rows] == [first]
        await directory.acknowledge(command)
    await completed(privacy, first)
    assert second != first


async def completed_inbox(privacy: Stand) -> None:
    """Wait until what was said before has been heard: one more wish, through to its row."""
    last = await ask(privacy)
    await privacy.eventually("SELECT count(*) FROM erasure WHERE erasure_id = $1", last)


async def test_who_stays_silent_is_asked_again_less_and_less_often_and_never_taken_for_done(
    privacy: Stand, troupe: Troupe
) -> None:
    try:
        with troupe.silent("directory") as directory:
            erasure_id = await ask(privacy)
            first = await directory.commanded(erasure_id)
            for times, shifted, pause in ((2, 6, 10), (3, 17, 20), (4, 38, 40)):
                clock.shift(timedelta(seconds=shifted))
                again = await directory.commanded(erasure_id, times=times)
                assert again == first
                assert await pause_before_chase(privacy, first) == pause
            clock.shift(timedelta(days=40))
            await directory.commanded(erasure_id, times=5)
            view = await state(privacy, erasure_id)
            assert (view["state"], open_steps(view)) == ("escalated", ["directory"])
            assert privacy.heard_count(ErasureCompleted, erasure_id=erasure_id) == 0
            await directory.acknowledge(first)
        await completed(privacy, erasure_id)
    finally:
        clock.shift(timedelta(0))


async def pause_before_chase(privacy: Stand, command: Erase) -> int:
    """Seconds from the last time it was sent to the next, to the second below."""
    [row] = await privacy.rows(
        "SELECT chase_at FROM broadcast WHERE position = $1", command.position
    )
    return round((row["chase_at"] - clock.now()).total_seconds())


async def test_two_replicas_give_each_wish_one_position(privacy: Stand, troupe: Troupe) -> None:
    async with another_replica(privacy):
        asked = await asyncio.gather(*(ask(privacy) for _ in range(20)))
        for erasure_id in asked:
            await completed(privacy, erasure_id)
    assert [privacy.heard_count(ErasureCompleted, erasure_id=one) for one in asked] == [1] * 20
    named = [str(entry["entry"]["subjects"]) for entry in ledger(privacy).values()]
    assert [sum(str(one) in names for names in named) for one in asked] == [1] * 20


async def test_a_late_wish_about_somebody_erased_changes_nothing(
    privacy: Stand, troupe: Troupe
) -> None:
    person = new_id()
    await completed(privacy, await ask(privacy, person))
    event_id = await privacy.say(
        AccountOpened(account_id=person, notice_version="2026-11", opened_at=clock.now())
    )
    assert (
        await privacy.eventually("SELECT state FROM inbox WHERE event_id = $1", event_id)
        == "fenced"
    )
    assert not await privacy.rows("SELECT 1 FROM consent WHERE person_id = $1", person)
    assert privacy.heard_count(AccountLocked, account_id=person) == 1
