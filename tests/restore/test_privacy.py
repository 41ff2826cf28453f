"""Privacy itself restored: it takes in from the copy what it has forgotten to have promised."""

import json
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chassis import clock
from chassis.ids import new_id
from contracts.privacy import Erase, ErasureAcknowledged, ErasureCompleted
from services.privacy.wiring import SERVICE as PRIVACY
from tests.faults.erasure_workers import participant
from tests.mailbox import Mailbox
from tests.privacy.troupe import Troupe, state
from tests.restore import world
from tests.restore.conftest import FOUR, asked, completed
from tests.stand import Stand

CRASHES = (
    "restore.after_epoch",
    "privacy.after_chained_again",
    "restore.after_position",
    "restore.before_open",
)
"""In the order in which a restored privacy passes them."""


async def the_ledger_is_whole(privacy: Stand) -> None:
    """Each row is what the copy holds at its position, and no position has two entries."""
    rows = await privacy.rows("SELECT position, entry_hash FROM broadcast ORDER BY position")
    assert {row["position"]: row["entry_hash"] for row in rows} == {
        int(path.stem): world.parsed(path)["entry_hash"]
        for path in world.copies(privacy).glob("0*.json")
    }
    told: dict[int, set[str]] = {}
    for said in privacy.heard:
        if said["type"] == Erase.event_type():
            told.setdefault(said["data"]["position"], set()).add(said["data"]["entry_hash"])
    assert {len(hashes) for hashes in told.values()} <= {1}


async def test_a_restored_privacy_takes_in_what_it_had_promised_and_proves_it_again(
    privacy: Stand, troupe: Troupe
) -> None:
    person = await world.somebody(privacy)
    assert person.filling.tokens
    await completed(privacy, await asked(privacy))
    backup = await world.back_up(privacy)
    erasure_id = await asked(privacy, person.id)
    await completed(privacy, erasure_id)
    async with world.Callers(privacy, person).asking() as callers:
        await world.restore(privacy, backup)
        await world.forgotten(privacy, person)
        await world.ready(privacy)
    assert not callers.told
    assert not any(callers.seen)
    assert not await world.left(privacy.settings.database_url, person)
    await completed(privacy, erasure_id, times=2)
    view = await state(privacy, erasure_id)
    assert view["state"] == "completed"
    assert {step["participant"] for step in view["steps"]} == {"privacy", *FOUR}
    assert await world.epoch(privacy.settings.database_url) >= 1
    first, second = world.sequences(privacy, ErasureCompleted, erasure_id=erasure_id)
    assert second > first
    after = await asked(privacy)
    await completed(privacy, after)
    await the_ledger_is_whole(privacy)
    assert not [said for said in await refusals(privacy) if said["cause"] != "stranger"]


async def refusals(privacy: Stand) -> list[Any]:
    return await privacy.rows("SELECT cause FROM refusal")


async def test_a_privacy_restored_while_a_broadcast_was_half_done_ends_it(
    privacy: Stand, troupe: Troupe
) -> None:
    with troupe.silent("directory") as directory:
        erasure_id = await asked(privacy)
        command = await directory.commanded(erasure_id)
        backup = await world.back_up(privacy)
        await directory.acknowledge(command)
        await completed(privacy, erasure_id)
        await world.restore(privacy, backup)
    try:
        await world.ready(privacy)
        clock.shift(timedelta(seconds=6))  # the first chase
        await directory.commanded(erasure_id, times=2)
        await completed(privacy, erasure_id, times=2)
    finally:
        clock.shift(timedelta(0))
    await the_ledger_is_whole(privacy)


@pytest.mark.parametrize("same", [False, True], ids=["another person", "the same person"])
async def test_what_another_privacy_broadcast_at_a_reserved_position_counts_and_the_wish_follows(
    privacy: Stand, troupe: Troupe, *, same: bool
) -> None:
    """As when an old primary lived on for a moment beside the new one.

    Of the same person there is one active erasure at a time, so theirs is proven after ours.
    """
    person = new_id()
    [last] = await privacy.rows(
        "SELECT position, entry_hash FROM broadcast ORDER BY position DESC LIMIT 1"
    )
    privacy.position, privacy.head = last["position"], last["entry_hash"]
    command, sealed = privacy.entry(person, participants=["privacy", *FOUR])
    await privacy.runtime.ledger.append(command.position, sealed)
    mine = await asked(privacy, person if same else None)
    theirs = command.subjects[0].erasure_id
    for erasure_id in (mine, theirs):
        await completed(privacy, erasure_id)
    assert json.loads(sealed) == world.parsed(world.copy_of(privacy, command.position))
    following = world.parsed(world.copy_of(privacy, command.position + 1))
    assert [one["erasure_id"] for one in following["entry"]["subjects"]] == [str(mine)]
    await the_ledger_is_whole(privacy)


@pytest.mark.long  # the short form is in tests/faults/test_crash_points.py
@pytest.mark.timeout(300)
async def test_a_restored_privacy_that_dies_at_every_seam_takes_in_everything_once(
    servers: SimpleNamespace, mailbox: Mailbox, tmp_path: Path
) -> None:
    async with participant(
        PRIVACY, servers=servers, folder=tmp_path, smtp_url=mailbox.url
    ) as forgetful:
        stand = forgetful.stand
        people = [await world.somebody(stand) for _ in range(2)]
        commands = []
        for person in people:
            command, sealed = stand.entry(
                person.id, at=(clock.now() - timedelta(hours=1)).isoformat()
            )
            await stand.runtime.ledger.append(command.position, sealed)
            commands.append(command)
        for point in CRASHES:
            async with forgetful.worker(crash_at=point) as worker:
                await forgetful.dies(worker)
        async with forgetful.worker():
            for command in commands:
                await stand.hear(ErasureAcknowledged, broadcast_id=command.broadcast_id)
                await stand.hear(Erase, position=command.position)
                await stand.eventually(
                    "SELECT outcome FROM step WHERE position = $1 AND participant = 'privacy'",
                    command.position,
                )
        for person in people:
            assert not await world.left(stand.settings.database_url, person)
        await the_ledger_is_whole(stand)
        assert await world.epoch(stand.settings.database_url) >= 1
        found = await stand.rows("SELECT count(*) FROM step GROUP BY erasure_id, participant")
        assert {row["count"] for row in found} == {1}
