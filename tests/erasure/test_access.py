"""Everything erasable is shown to the person and the other way round (E20; GDPR art. 15 and 20)."""

from base64 import b64decode
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import LargeBinary, event

from chassis import access
from chassis.access import Held, Section
from chassis.catalogue import KEY, Personal
from tests.erasure.shelf import Shelf


async def shown(shelf: Shelf, person: UUID, **page: int) -> Held:
    async with shelf.db.transaction() as session:
        found = await access.collect(session, shelf.catalogue, person_id=person, **page)
    return Held.model_validate_json(found.model_dump_json())  # as it travels


def cells(found: Held) -> set[tuple[str, str]]:
    """The columns of which something is shown."""
    return {
        (section.table, name)
        for section in found.sections
        for row in section.rows
        for name, value in row.items()
        if value not in (None, False) or kinds(section)[name] == "boolean"
    }


def kinds(section: Section) -> dict[str, str]:
    return {column.name: column.kind for column in section.columns}


def meant(kind: str, value: Any) -> Any:
    """The value again, from what was shown; secrets are not shown."""
    if value is None:
        return None
    match kind:
        case "instant":
            return datetime.fromisoformat(value)
        case "date":
            return date.fromisoformat(value)
        case "id":
            return UUID(value)
        case "bytes":
            return b64decode(value)
    return value


async def test_what_erasure_touches_and_what_is_shown_are_the_same_set(shelf: Shelf) -> None:
    manifest = shelf.catalogue.describe()["tables"]
    erased = {
        (table, subject, name)
        for table, declared in manifest.items()
        for subject in declared["subjects"]
        for name, column in declared["columns"].items()
        if column["kind"] == "personal" and column["of"] == subject
    }
    scope = list(access.sections(shelf.catalogue))
    assert {(one.table, one.subject, c.name) for one in scope for c in one.columns} == erased
    assert {one.table for one in scope} == set(shelf.catalogue.tables())

    # The same again, by what really happens to every cell.
    person = (await shelf.fill()).person
    found = await shown(shelf, person)
    before = await shelf.dump()
    await shelf.erase(person)
    after = await shelf.dump()
    touched = set()
    for entry in shelf.catalogue.subjects:
        table = entry.table.name
        for key, row in before[table].items():
            if row[entry.column.name] != str(person):
                continue
            left = after[table].get(key, {})
            for column in entry.personal:
                held = entry.declared.hold is not None
                if row[column.name] is not None and (held or left.get(column.name) is None):
                    touched.add((table, column.name))
    assert cells(found) == touched


async def test_each_value_turns_up_as_it_was_and_nobody_elses_does(shelf: Shelf) -> None:
    filling, stranger = await shelf.fill(), await shelf.fill()
    await shelf.fill(filling.person, other=stranger.person)
    found = await shown(shelf, filling.person)
    secrets = set()
    for section in found.sections:
        assert section.total == len(section.rows) > 0
        own = [row for row in filling.rows[section.table] if row[section.subject] == filling.person]
        told = [
            {name: meant(kinds(section)[name], value) for name, value in row.items()}
            for row in section.rows
        ]
        for row in own:
            expected = {
                name: row[name] is not None if kinds(section)[name] == "secret" else row[name]
                for name in kinds(section)
                if name in row
            }
            assert any(expected.items() <= one.items() for one in told), section.table
        secrets |= {
            str(row[name])
            for row in own
            for name, kind in kinds(section).items()
            if kind == "secret" and row[name] is not None
        }
    text = found.model_dump_json()
    assert not [secret for secret in secrets if secret in text]
    assert not {where for token, where in stranger.tokens.items() if token in text}
    assert str(stranger.person) not in text
    assert not cells(await shown(shelf, uuid4()))


async def test_whatever_opens_doors_is_declared_a_secret(shelf: Shelf) -> None:
    telling = ("hash", "sealed", "secret", "hmac", "password", "totp", "private")
    undeclared = [
        f"{table.name}.{column.name}"
        for table, column, declared in shelf.catalogue.columns()
        if isinstance(declared, Personal)
        and not declared.secret
        and (any(word in column.name for word in telling) or isinstance(column.type, LargeBinary))
    ]
    assert not undeclared, "say secret=True, or that its owner may read it by another name"
    assert all(
        shelf.catalogue.describe()["tables"][table.name]["columns"][column.name]["secret"]
        for table, column, declared in shelf.catalogue.columns()
        if isinstance(declared, Personal) and declared.secret
    )


async def test_a_file_is_given_to_its_owner_only(shelf: Shelf) -> None:
    filling, stranger = await shelf.fill(), await shelf.fill()
    shared = await shelf.fill(filling.person, other=stranger.person)
    columns = {f"{t.name}.{c.name}": c.info[KEY] for t, c, _ in shelf.catalogue.columns()}
    async with shelf.db.transaction() as session:
        for key, where in (filling.files | shared.files).items():
            ask = {"catalogue": shelf.catalogue, "key": key}
            own = await access.owns_file(session, person_id=filling.person, **ask)
            assert own is not columns[where].secret, where
            assert not await access.owns_file(session, person_id=stranger.person, **ask)
        ask = {"catalogue": shelf.catalogue, "person_id": filling.person}
        assert not await access.owns_file(session, key="../../etc/passwd", **ask)


async def test_a_table_costs_one_statement_and_a_page_says_where_the_next_begins(
    shelf: Shelf,
) -> None:
    filling = await shelf.fill()
    whole = await shown(shelf, filling.person)
    assert whole.next is None
    asked: list[str] = []
    listener = ("before_cursor_execute", lambda *seen: asked.append(seen[2]))
    event.listen(shelf.db.engine.sync_engine, *listener)
    try:
        first = await shown(shelf, filling.person, limit=1)
    finally:
        event.remove(shelf.db.engine.sync_engine, *listener)
    assert len(asked) == len(shelf.catalogue.tables())
    pages = [first]
    while (offset := pages[-1].next) is not None:
        pages.append(await shown(shelf, filling.person, limit=1, offset=offset))
    for index, section in enumerate(whole.sections):
        assert first.sections[index].total == section.total
        assert [r for page in pages for r in page.sections[index].rows] == section.rows


@pytest.mark.parametrize("page", [{"limit": 1}, {"limit": 2, "offset": 1}, {"offset": 10_000}])
async def test_a_page_of_a_stranger_is_empty(shelf: Shelf, page: dict[str, int]) -> None:
    found = await shown(shelf, uuid4(), **page)
    assert found.next is None
    assert not any(section.rows or section.total for section in found.sections)
