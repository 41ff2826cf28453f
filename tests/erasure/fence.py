"""Whatever might bring somebody back after their erasure, tried one by one (E6, E9, E18)."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

from fastapi.security import HTTPAuthorizationCredentials
from sqlalchemy import Table, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import auth, outbox
from chassis.auth import Principal
from chassis.catalogue import KEY, Catalogue, Fate, Subject, SubjectColumn
from chassis.db import subject_is_erased, violated_constraint
from chassis.errors import NotAuthenticatedError
from chassis.inbox import _Consumer
from chassis.inbox_rows import Handler, State, arrival_of, table_of
from contracts.base import Envelope, Event
from contracts.identity import AccountLocked
from contracts.samples import sample
from tests.rows import Filling


# A wish to be deleted is heard after it was done; tests/contracts reviews who passes so.
def about_people(handlers: Mapping[type[Event], Handler[Any]]) -> dict[type[Event], Handler[Any]]:
    """The handlers of events that the fence must look at, by their fields, whatever they say."""
    return {
        event: handler
        for event, handler in handlers.items()
        if event.person_fields() and event is not AccountLocked
    }


class _Inside:
    """A database whose transactions are savepoints of one session, to be undone with it."""

    def __init__(self, session: AsyncSession) -> None:
        self.service = session.info["service"]
        self._session = session

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        async with outbox.savepoint(self._session):
            yield self._session
            await self._session.flush()


async def late(
    session: AsyncSession, event: type[Event], handler: Handler[Any], person: UUID
) -> tuple[str, str | None]:
    """Let the consumer take this event about somebody; returns its state in the inbox, and why."""
    told = sample(event)
    [field] = event.person_fields()
    data = {**told["data"], field: str(person)}
    envelope = Envelope.model_validate({**told, "id": str(uuid4()), "data": data})
    arrival = arrival_of(
        envelope,
        body=envelope.model_dump_json().encode(),
        sender="somebody",
        redelivered=False,
        table=table_of({event: handler}),
    )
    consumer: Any = _Consumer(_Inside(session), "queue", {}, SimpleNamespace(), None)  # type: ignore[arg-type]
    await consumer._process([arrival])
    row = await session.execute(
        text("SELECT state, reason FROM inbox WHERE event_id = :id"), {"id": envelope.id}
    )
    return tuple(row.one())  # type: ignore[return-value]


FENCED = State.FENCED.value


def namings(catalogue: Catalogue) -> list[SubjectColumn]:
    """Where nobody who was erased may be named again; held rows are written as long as they are needed."""
    return [entry for entry in catalogue.subjects if entry.declared.fate is not Fate.KEEP]


def emptied(entry: SubjectColumn) -> list[str]:
    """The columns of a row that stays, empty."""
    if entry.declared.fate is not Fate.DETACH:
        return []
    return [column.name for column in entry.personal if not column.computed]


async def name_again(
    session: AsyncSession, entry: SubjectColumn, *, person: UUID, instead_of: UUID
) -> str | None:
    """Write the person into a living row of somebody else, as a job or an import might.

    Returns the constraint that refuses it because they are erased.
    """
    column = entry.column
    return await _refused(
        session, update(entry.table).where(column == instead_of).values({column.name: person})
    )


async def remember_again(
    session: AsyncSession, entry: SubjectColumn, column: str, *fillings: Filling
) -> str | None:
    """Write what was erased into a row that stayed without them; the constraint that refuses it."""
    person, subjects = fillings[0].person, subjects_of(entry.table)
    made = next(
        row
        for filling in fillings
        for row in filling.rows.get(entry.table.name, ())
        if [name for name in subjects if row.get(name) == person] == [entry.column.name]
        and row.get(column) is not None
    )
    key = [one == made[one.name] for one in entry.table.primary_key.columns]
    return await _refused(session, update(entry.table).where(*key).values({column: made[column]}))


def subjects_of(table: Table) -> list[str]:
    """The columns that name people."""
    return [one.name for one in table.columns if isinstance(one.info[KEY], Subject)]


async def _refused(session: AsyncSession, statement: Any) -> str | None:
    refusal = None
    try:
        async with session.begin_nested():
            done = await session.execute(statement)
            assert done.rowcount, f"nothing to write: {statement}"
    except IntegrityError as error:
        refusal = error
    if refusal is None:
        return None
    assert subject_is_erased(refusal), refusal
    return violated_constraint(refusal)


async def let_in(session: AsyncSession, person: UUID) -> str | None:
    """Show a valid token of this person to a service; why it is refused."""
    principal = Principal(
        subject=str(person), session_id=uuid4(), roles=frozenset(), scopes=frozenset()
    )

    async def verify(_: str) -> Principal:
        return principal

    runtime = SimpleNamespace(tokens=SimpleNamespace(verify=verify))
    request: Any = SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace(runtime=runtime)))
    bearer = HTTPAuthorizationCredentials(scheme="Bearer", credentials="valid")
    try:
        await auth.current_principal(request, session, bearer)
    except NotAuthenticatedError as error:
        return error.detail or error.slug
    return None
