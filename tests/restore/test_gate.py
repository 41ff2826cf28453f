"""What opens the gate and what does not: the copy, its signatures, the bus, a locked row."""

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace

import asyncpg
import pytest

from chassis import restore
from chassis.evidence import digest, load_key
from chassis.ledger import seal
from contracts.privacy import ErasureAcknowledged
from services.directory.wiring import SERVICE as DIRECTORY
from tests.mailbox import Mailbox
from tests.restore import world
from tests.restore.conftest import House
from tests.stand import Stand, standing


@pytest.fixture(scope="module")
async def shop(
    servers: SimpleNamespace, mailbox: Mailbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stand]:
    """A service whose ledger copy may be spoilt."""
    async with standing(
        DIRECTORY, servers=servers, folder=tmp_path_factory.mktemp("shop"), smtp_url=mailbox.url
    ) as stand:
        await stand.erase(*[(await world.somebody(stand)).id for _ in range(2)])
        yield stand


def forge(stand: Stand, how: str, sealed: bytes) -> bytes:
    """What somebody who may write to the bucket, and has no key of privacy, can put there."""
    honest = json.loads(sealed)
    entry = honest["entry"]
    other_key = load_key(stand.layout.secrets / "identity" / "evidence.pem")
    match how:
        case "not an entry":
            return b"{}"
        case "cut short":
            return sealed[:-40]
        case "another person":
            entry["subjects"][0]["subject_id"] = entry["broadcast_id"]
            return json.dumps(honest).encode()
        case "another person, hashed again":
            entry["subjects"][0]["subject_id"] = entry["broadcast_id"]
            return json.dumps({**honest, "entry_hash": digest(entry)}).encode()
        case "signed by another service":
            return seal(entry, other_key)
        case "the entry before, again":
            return world.copy_of(stand, entry["position"] - 1).read_bytes()
    raise AssertionError(how)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("not an entry", "unreadable"),
        ("cut short", "unreadable"),
        ("another person", "its content is not what its hash says"),
        ("another person, hashed again", "privacy has not signed it"),
        ("signed by another service", "privacy has not signed it"),
        ("the entry before, again", "it was written for position 1"),
    ],
)
async def test_a_forged_entry_in_the_copy_erases_nobody_and_is_told(
    shop: Stand, how: str, words: str
) -> None:
    person = await world.somebody(shop)
    position, head = shop.position, shop.head
    _, sealed = shop.entry(person.id)
    spoilt = world.copy_of(shop, shop.position)
    spoilt.write_bytes(forge(shop, how, sealed))
    try:
        async with world.started(shop) as runtime:
            reason = await runtime.not_ready()
            assert reason == f"position {shop.position} of the ledger copy: {words}" or (
                words == "unreadable" and reason and words in reason
            )
        if how == "another person, hashed again":  # the process that runs finds it by itself, too
            await world.said_not_ready(shop, words)
            status, text = await world.held(shop, person)
            assert (status, json.loads(text)["type"]) == (503, "urn:ccib:problem:reconciling")
        assert await world.left(shop.settings.database_url, person) == set(
            person.filling.tokens.values()
        )
    finally:
        spoilt.unlink()
        shop.position, shop.head = position, head
    await world.ready(shop)


async def test_an_entry_that_follows_another_past_or_leaves_a_hole_is_told(shop: Stand) -> None:
    position, head = shop.position, shop.head
    key = load_key(shop.layout.secrets / "privacy" / "evidence.pem")
    try:
        _, sealed = shop.entry((await world.somebody(shop)).id)
        unchained = {**json.loads(sealed)["entry"], "previous_hash": "1" * 64}
        world.copy_of(shop, shop.position).write_bytes(seal(unchained, key))
        async with world.started(shop) as runtime:
            assert "does not follow the one before" in str(await runtime.not_ready())
        world.copy_of(shop, shop.position).rename(world.copy_of(shop, shop.position + 1))
        async with world.started(shop) as runtime:
            assert f"position {shop.position} of the ledger copy: it is missing" in str(
                await runtime.not_ready()
            )
    finally:
        for later in (shop.position, shop.position + 1):
            world.copy_of(shop, later).unlink(missing_ok=True)
        shop.position, shop.head = position, head
    await world.ready(shop)


async def test_without_the_copy_a_start_waits_and_a_database_that_has_not_changed_is_served(
    shop: Stand,
) -> None:
    folder = world.copies(shop)
    person = await world.somebody(shop)
    away = folder.rename(folder.with_name("away"))
    try:
        async with world.started(shop) as runtime:
            assert "the ledger copy cannot be read" in str(await runtime.not_ready())
            with pytest.raises(restore.ReconcilingError):
                async with runtime.db.transaction():
                    pass
        await asyncio.sleep(0.5)  # the running process has looked for it
        assert (await world.held(shop, person))[0] == 200
        async with (
            world.administrator(shop) as admin,
            world.closed(admin, world.name_of(shop.settings.database_url)),
        ):
            pass  # every connection is lost
        await world.ready(shop)
        backup = await world.back_up(shop)
        await world.restore(shop, backup)
        await world.said_not_ready(shop, "the ledger copy cannot be read")
        assert (await world.held(shop, person))[0] == 503
    finally:
        away.rename(folder)
    await world.ready(shop)
    assert (await world.held(shop, person))[0] == 200


async def test_a_copy_that_lacks_what_the_database_has_applied_is_not_the_right_one(
    shop: Stand,
) -> None:
    empty = world.copies(shop).with_name("empty")
    empty.mkdir()
    async with world.started(shop, ledger_url=empty.as_uri()) as runtime:
        assert await runtime.not_ready() == (
            f"position {shop.position} of the ledger copy: it is missing"
        )


async def test_a_command_on_its_way_is_no_restore(
    shop: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for those who are served, nor for the epoch; and the copy brings what the bus lost."""
    monkeypatch.setattr(restore, "OVERDUE_S", 0.6)
    person, other = await world.somebody(shop), await world.somebody(shop)
    before = await world.epoch(shop.settings.database_url)
    command, sealed = shop.entry(person.id)
    await shop.runtime.ledger.append(command.position, sealed)
    await asyncio.sleep(0.2)
    assert await shop.runtime.not_ready() is None
    assert (await world.held(shop, other))[0] == 200
    assert await world.left(shop.settings.database_url, person)
    await shop.hear(ErasureAcknowledged, broadcast_id=command.broadcast_id)
    assert not await world.left(shop.settings.database_url, person)
    assert await shop.runtime.not_ready() is None
    assert await world.epoch(shop.settings.database_url) == before


async def test_a_start_waits_for_a_position_that_cannot_be_applied_and_says_which(
    shop: Stand,
) -> None:
    person = await world.somebody(shop)
    backup = await world.back_up(shop)
    await shop.erase(person.id)
    lock = await asyncpg.connect(world.url_of(shop, backup))
    try:
        change = lock.transaction()
        await change.start()
        await lock.execute("SELECT FROM data_subject WHERE id = $1 FOR UPDATE", person.id)
        async with world.started(shop, database=backup) as runtime:
            assert "position" in str(await runtime.not_ready())
            assert not runtime.started.is_set()
            await change.rollback()
            assert await runtime.gate.try_to_open()
            assert not await world.left(world.url_of(shop, backup), person)
    finally:
        await lock.close()


async def test_tables_restored_in_place_behind_open_connections_close_the_gate_too(
    shop: Stand,
) -> None:
    person = await world.somebody(shop)
    await shop.erase(person.id)
    position = shop.position
    await shop.eventually("SELECT count(*) FROM applied WHERE position = $1", position)
    while shop.runtime.gate._mark[1] < position:  # until it was found complete again
        await asyncio.sleep(0.05)
    before = await world.epoch(shop.settings.database_url)
    await shop.rows("DELETE FROM applied WHERE position = $1", position)
    await shop.eventually("SELECT count(*) FROM applied WHERE position = $1", position)
    await world.ready(shop)
    assert await world.epoch(shop.settings.database_url) == before + 1


async def test_two_services_restored_at_once_both_forget_again(house: House) -> None:
    two = [await house(name) for name in ("identity", "notifications")]
    people = [await world.somebody(stand) for stand in two]
    backups = [await world.back_up(stand) for stand in two]
    for stand, person in zip(two, people, strict=True):
        await stand.erase(person.id)
    await asyncio.gather(*map(world.restore, two, backups))
    await asyncio.gather(*map(world.forgotten, two, people))
    for stand, person in zip(two, people, strict=True):
        await world.ready(stand)
        assert not await world.left(stand.settings.database_url, person)
