"""Nothing brings an erased person back: no late event, no writer, no token, in any service (E6, E9)."""

from importlib import import_module

from tests.erasure import fence
from tests.erasure.shelf import Shelf


async def test_nobody_who_was_erased_is_named_or_remembered_again(shelf: Shelf) -> None:
    filling, other = await shelf.fill(), await shelf.fill()
    shared = await shelf.fill(filling.person, other=other.person)
    await shelf.erase(filling.person)
    async with shelf.db.transaction() as session:
        for entry in fence.namings(shelf.catalogue):
            where = f"{entry.table.name}.{entry.column.name}"
            refused = await fence.name_again(
                session, entry, person=filling.person, instead_of=other.person
            )
            assert refused, f"{where} names somebody who was erased"
            for column in fence.emptied(entry):
                refused = await fence.remember_again(session, entry, column, filling, shared)
                assert refused, f"{entry.table.name}.{column} says again what was erased"


async def test_a_late_event_of_any_type_is_fenced(shelf: Shelf) -> None:
    name = shelf.catalogue.service
    if name == "toy":
        return
    person = (await shelf.fill()).person
    await shelf.erase(person)
    wired = import_module(f"services.{name}.wiring").SERVICE
    async with shelf.db.transaction() as session:
        for event, handler in fence.about_people(wired.handlers).items():
            state, why = await fence.late(session, event, handler, person)
            assert state == fence.FENCED, f"{event.__name__}: {state}, {why}"


async def test_a_token_that_is_still_valid_opens_nothing(shelf: Shelf) -> None:
    gone, stays = await shelf.fill(), await shelf.fill()
    await shelf.erase(gone.person)
    async with shelf.db.transaction() as session:
        assert await fence.let_in(session, gone.person)
        assert await fence.let_in(session, stays.person) is None
