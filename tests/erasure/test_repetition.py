"""A command may come often, at once and in any order (E5, E6)."""

import asyncio
import itertools
import json
import random
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from chassis import erasure
from chassis.erasure import ForgedCommandError, RowsLeftError
from chassis.errors import SubjectErasedError
from contracts.privacy import Erase
from tests import rows
from tests.erasure.shelf import Shelf, a_command


async def acknowledgements(shelf: Shelf, command: Erase) -> list[str]:
    """What the outbox says about a command, without what names the message."""
    async with shelf.db.transaction() as session:
        bodies = await session.scalars(
            text("SELECT body FROM outbox WHERE aggregate = :id"),
            {"id": str(command.broadcast_id)},
        )
        data = [json.loads(body)["data"] for body in bodies]
    return [json.dumps(d | {"signature": ""}, sort_keys=True) for d in data]


@pytest.mark.parametrize("times", range(1, 6))
@pytest.mark.parametrize("at_once", [False, True], ids=["in turn", "at once"])
async def test_a_command_takes_effect_once_and_is_answered_alike_each_time(
    common: Shelf, *, times: int, at_once: bool
) -> None:
    filling = await common.fill()
    command = a_command(filling.person, uuid4())
    expected = rows.after_erasure(await common.dump(), common.catalogue, filling.person)
    if at_once:
        await asyncio.gather(*(common.deliver(command) for _ in range(times)))
    else:
        for _ in range(times):
            await common.deliver(command)
    after = await common.dump()
    assert {table: after[table] for table in expected} == expected
    answers = await acknowledgements(common, command)
    assert len(answers) == times
    assert len(set(answers)) == 1
    evidence = json.loads(answers[0])["subjects"][0]
    assert evidence["outcome"] == "kept_under_hold"
    assert evidence["tables"]["letter"]["deleted"] == 1


async def test_another_entry_at_a_known_position_is_refused_and_answered_by_nothing(
    common: Shelf,
) -> None:
    known, victim = a_command(uuid4()), await common.fill()
    await common.deliver(known)
    forged = a_command(victim.person, position=known.position, entry_hash="0" * 64)
    before = await common.everything()
    with pytest.raises(ForgedCommandError):
        await common.apply(forged)
    assert await common.everything() == before


async def test_a_late_repetition_still_answers_under_the_manifest_of_its_evidence(
    own: Shelf,
) -> None:
    """A release that adds a table must not make earlier evidence look incomplete."""
    command = a_command((await own.fill()).person)
    await own.deliver(command)
    manifest = await own.announce()
    await own.sql("COMMENT ON COLUMN letter.words IS 'personal: content of=person_id'")
    column = own.catalogue.metadata.tables["letter"].c.words
    before, column.comment = column.comment, "personal: content of=person_id"
    try:
        assert await own.announce() != manifest
        await own.deliver(command)
    finally:
        column.comment = before
    first, again = await acknowledgements(own, command)
    assert first == again


async def test_people_asked_for_twice_are_erased_once_and_kept_erased_since_the_first_time(
    common: Shelf,
) -> None:
    filling = await common.fill()
    await common.deliver(a_command(filling.person))
    since = f"SELECT erased_at FROM data_subject WHERE id = '{filling.person}'"
    first = await common.value(since)
    again = a_command(filling.person, filling.person)
    await common.deliver(again)
    assert await common.value(since) == first
    (answer,) = await acknowledgements(common, again)
    tables = json.loads(answer)["subjects"][0]["tables"]
    assert not any(table["deleted"] or table["detached"] for table in tables.values())


async def test_commands_about_overlapping_people_commute(own: Shelf) -> None:
    for order in itertools.permutations(range(3)):
        one, two, three = [(await own.fill()).person for _ in range(3)]
        await own.fill(one, other=two)
        await own.fill(two, other=three)
        commands = [a_command(one, two), a_command(two, three), a_command(three, one)]
        expected = await own.dump()
        for person in (one, two, three):
            expected = rows.after_erasure(expected, own.catalogue, person)
        await asyncio.gather(*(own.deliver(commands[place]) for place in order))
        after = await own.dump()
        assert {table: after[table] for table in expected} == expected


async def test_one_persons_trouble_stays_their_own(own: Shelf) -> None:
    people = [(await own.fill()).person for _ in range(4)]
    troubled = people[2]
    command = a_command(*people)
    async with own.db.engine.connect() as writer:
        await writer.execute(
            text("UPDATE letter SET words = 'je réfléchis' WHERE person_id = :person"),
            {"person": troubled},
        )
        with pytest.raises(DBAPIError, match="lock timeout"):
            await own.apply(command)
        [partial] = await acknowledgements(own, command)
        answered = {one["erasure_id"] for one in json.loads(partial)["subjects"]}
        assert answered == {
            str(one.erasure_id) for one in command.subjects if one.subject_id != troubled
        }
        assert await own.value("SELECT count(*) FROM applied") == 0
        assert await own.value("SELECT count(*) FROM letter") == 1
        await writer.rollback()
    await own.apply(command)
    _, whole = await acknowledgements(own, command)
    [last] = [one for one in json.loads(whole)["subjects"] if one["erasure_id"] not in answered]
    assert last["tables"]["letter"]["deleted"] == 1
    assert await own.value("SELECT count(*) FROM applied") == 1
    assert await own.value("SELECT count(*) FROM letter") == 0


async def test_when_nobody_can_be_forgotten_now_the_command_fails_with_the_reason(
    own: Shelf,
) -> None:
    people = [(await own.fill()).person for _ in range(2)]
    await own.sql(
        "CREATE TABLE diary (person_id uuid REFERENCES data_subject (live_id))",
        "INSERT INTO diary SELECT id FROM data_subject",
    )
    async with own.db.transaction() as session:
        with pytest.raises(RowsLeftError, match="diary"):
            await erasure._erase_together_or_each(session, a_command(*people), own.eraser)


STEPS = {
    "write": "INSERT INTO letter (id, person_id, words) VALUES (gen_random_uuid(), :person, 'mot')",
    "upsert": "INSERT INTO invoice (id, payer_id, address) VALUES (:id, :person, 'x')"
    " ON CONFLICT (id) DO UPDATE SET address = 'y'",
    "order": "INSERT INTO \"order\" (id, buyer_id, remark) VALUES (:id, :person, 'mot')",
    "remark": "UPDATE \"order\" SET remark = 'mot encore' WHERE id = :id",
    "consent": "INSERT INTO house (id, owner_id, name) VALUES (gen_random_uuid(), :person, 'mot')",
    "erase": "",
    "erase again": "",
}


async def test_whatever_the_order_of_writing_and_erasing_a_person_ends_erased(
    common: Shelf,
) -> None:
    orders = random.Random(7).sample(list(itertools.permutations(STEPS)), 30)

    async def live(order: tuple[str, ...]) -> UUID:
        person, thing, erased = uuid4(), uuid4(), False
        for step in order:
            if step.startswith("erase"):
                await common.deliver(a_command(person))
                erased = True
                continue
            try:
                async with common.db.transaction() as session:
                    await session.execute(
                        text("INSERT INTO data_subject (id) VALUES (:id) ON CONFLICT DO NOTHING"),
                        {"id": person},
                    )
                    await session.execute(
                        text(STEPS[step]).bindparams(
                            **{"person": person} if ":person" in STEPS[step] else {},
                            **{"id": thing} if ":id" in STEPS[step] else {},
                        )
                    )
            except SubjectErasedError:
                assert erased
        return person

    people = await asyncio.gather(*(live(order) for order in orders))
    everything = (await common.everything()).splitlines()
    for person in people:
        assert all("mot" not in row for row in everything if str(person) in row)
    for table in ("letter", "house"):
        column = {"letter": "person_id", "house": "owner_id"}[table]
        ids = ", ".join(f"'{person}'" for person in people)
        assert await common.value(f"SELECT count(*) FROM {table} WHERE {column} IN ({ids})") == 0
    assert await common.value("SELECT count(*) FROM \"order\" WHERE remark LIKE 'mot%'") == 0
