"""Mutants of the fence: what would let somebody who was erased come back."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import auth, erasure, inbox_rows
from contracts.base import Event
from tests.erasure import fence
from tests.mutants import refusals
from tests.mutants.desk import Desk
from tests.mutants.kinds import Catch, Caught, Mutant, Result, changed

SKIPPED = "fence skipped"
HIDDEN = "person hidden from the fence"
TOKEN = "token of an erased person believed"
NAMED = "erased person named again by a writer"
REMEMBERED = "erased words written again by a writer"


def mutants(desk: Desk) -> Iterator[Mutant]:
    """All of one service."""
    make = partial(Mutant, service=desk.name)
    yield make(TOKEN, target="current_principal")
    for event in fence.about_people(desk.wired.handlers):
        yield make(SKIPPED, target=event.__name__)
        yield make(HIDDEN, target=event.__name__)
    for entry in fence.namings(desk.catalogue):
        where = f"{entry.table.name}.{entry.column.name}"
        yield make(NAMED, target=where)
        for column in fence.emptied(entry):
            yield make(REMEMBERED, target=f"{where} {column}")


def _unfenced() -> AbstractContextManager[None]:
    guarding = inbox_rows.guards

    async def blind(session: AsyncSession, batch: Any) -> tuple[set[UUID], set[str]]:
        _, waiting = await guarding(session, batch)
        return set(), waiting

    return changed(inbox_rows, "guards", blind)


def made(mutant: Mutant, event: type[Event] | None) -> AbstractContextManager[None]:
    """The fence has a hole inside the block."""
    if mutant.kind == TOKEN:
        [number] = [n for n, code in refusals.refusals(auth.current_principal) if "effacé" in code]
        return refusals.removed(auth, "current_principal", number)
    if mutant.kind == HIDDEN:
        return changed(event, "people", lambda _: iter(()))
    return _unfenced()


async def run(desk: Desk) -> list[Result]:
    """Erase the person, then let each mutant try; nothing is committed."""
    events = {event.__name__: event for event in desk.wired.handlers}
    entries = {f"{e.table.name}.{e.column.name}": e for e in desk.catalogue.subjects}
    person, found = desk.person, []

    async def judge(
        mutant: Mutant | None, session: AsyncSession, kind: str, target: str
    ) -> Caught | None:
        """What stops it; without a mutant, what would stop the system as it is."""
        if kind in (NAMED, REMEMBERED):
            where, _, column = target.partition(" ")
            entry = entries[where]
            refused = (
                await fence.remember_again(session, entry, column, desk.filling, desk.shared)
                if column
                else await fence.name_again(
                    session, entry, person=person, instead_of=desk.other.person
                )
            )
            return Caught(Catch.DATABASE, f"refuses: {refused}") if refused else None
        event = events.get(target)
        with made(mutant, event) if mutant else changed(inbox_rows, "guards", inbox_rows.guards):
            if event is None:
                opened = await fence.let_in(session, person) is None
                return Caught(Catch.TEST, "an erased person was let in") if opened else None
            state, why = await fence.late(session, event, desk.wired.handlers[event], person)
        if state == fence.FENCED:
            return None
        return Caught(Catch.TEST, f"the late event is {state}, not fenced: {why}")

    await desk.put_files()
    async with desk.trial() as session:
        await erasure.erase(session, [person], desk.eraser)
        for mutant in mutants(desk):
            async with session.begin_nested() as point:
                if mutant.kind not in (NAMED, REMEMBERED):
                    alarm = await judge(None, session, mutant.kind, mutant.target)
                    assert alarm is None, f"a false alarm: {mutant.target}: {alarm}"
                caught = await judge(mutant, session, mutant.kind, mutant.target)
                found.append(Result(mutant, caught, test(mutant)))
                await point.rollback()
    return found


def test(mutant: Mutant) -> str:
    """The test that goes red with this one."""
    name = {
        TOKEN: "test_a_token_that_is_still_valid_opens_nothing",
        NAMED: "test_nobody_who_was_erased_is_named_or_remembered_again",
        REMEMBERED: "test_nobody_who_was_erased_is_named_or_remembered_again",
    }.get(mutant.kind, "test_a_late_event_of_any_type_is_fenced")
    return f"tests/erasure/test_fence.py::{name}[{mutant.service}]"
