"""Everything of a person goes, and nothing of anybody else (E1, E2, E16)."""

from uuid import uuid4

from tests import rows
from tests.erasure import left
from tests.erasure.shelf import Shelf


async def test_every_personal_column_is_filled_before_and_found_nowhere_after(
    shelf: Shelf,
) -> None:
    filling = await shelf.fill()
    before = await shelf.everything()
    unfilled = {
        f"{entry.table.name}.{column.name}"
        for entry in shelf.catalogue.subjects
        for column in (entry.column, *entry.personal)
        if not column.computed
        and not any(row[column.name] is not None for row in filling.rows[entry.table.name])
    }
    assert not unfilled
    searched = filling.tokens | filling.held | {str(filling.person): "the id"}
    assert not {where for token, where in searched.items() if token not in before}
    assert shelf.files() >= filling.files.keys()

    await shelf.erase(filling.person)

    after = await shelf.everything()
    assert not left.behind(filling, everything=after, files=shelf.files())
    assert not {where for token, where in filling.held.items() if token not in after}
    held = {entry.table.name for entry in shelf.catalogue.subjects if entry.declared.hold}
    naming = {
        table
        for table, found in (await shelf.dump()).items()
        for row in found.values()
        if str(filling.person) in row.values()
    }
    assert naming <= {"data_subject", *held}


async def test_nothing_of_anybody_else_changes_not_even_beside_them_in_one_row(
    shelf: Shelf,
) -> None:
    gone, stays = uuid4(), uuid4()
    kept = await shelf.fill(stays)
    await shelf.fill(gone)
    await shelf.fill(gone, other=stays)
    before = await shelf.dump()
    expected = rows.after_erasure(before, shelf.catalogue, gone)
    assert expected != {table: found for table, found in before.items() if table in expected}

    await shelf.erase(gone)

    after = await shelf.dump()
    tombstones = {key: row for key, row in after.pop("data_subject").items() if key != (str(gone),)}
    before["data_subject"].pop((str(gone),))
    assert tombstones == before["data_subject"]
    assert after == expected
    assert shelf.files() >= kept.files.keys()


async def test_people_of_one_batch_are_counted_each_for_themselves(shelf: Shelf) -> None:
    one, other, stranger = await shelf.fill(), await shelf.fill(), uuid4()
    stays = await shelf.fill()
    for filling in (one, other):
        await shelf.fill(filling.person, other=stays.person)
    before = await shelf.dump()
    tallies = await shelf.erase(one.person, other.person, stranger)
    for person, told in tallies.items():
        assert not left.miscounted(before, shelf.catalogue, person, told)
    assert tallies.keys() == {one.person, other.person, stranger}
    assert all(tally.keys() == set(shelf.catalogue.tables()) for tally in tallies.values())
    assert tallies[one.person] == tallies[other.person]
    assert all(tally.held_something for tally in tallies[one.person].values())
    assert not any(tally.held_something for tally in tallies[stranger].values())
