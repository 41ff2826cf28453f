"""People write while they are being forgotten: nothing remains, nothing waits for ever (E18)."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import subjects
from chassis.errors import SubjectErasedError
from chassis.outage import collided
from tests.erasure.shelf import Shelf, a_command

WORD = "encore"

Write = Callable[[AsyncSession, UUID, UUID], Awaitable[object]]


async def _run(session: AsyncSession, statement: str, **values: object) -> None:
    await session.execute(text(statement), values)


async def insert_letter(session: AsyncSession, person: UUID, _: UUID) -> None:
    await subjects.ensure(session, person)
    await _run(
        session,
        "INSERT INTO letter (id, person_id, words) VALUES (gen_random_uuid(), :person, :word)",
        person=person,
        word=WORD,
    )


async def insert_lazily(session: AsyncSession, person: UUID, thing: UUID) -> None:
    """The transaction began long before it writes about the person."""
    await _run(session, "SELECT count(*) FROM letter")
    await asyncio.sleep(0.005)
    await insert_letter(session, person, thing)
    await asyncio.sleep(0.005)


async def upsert_house(session: AsyncSession, person: UUID, thing: UUID) -> None:
    await _run(
        session,
        "INSERT INTO house (id, owner_id, name) VALUES (:thing, :person, :word)"
        " ON CONFLICT (id) DO UPDATE SET name = excluded.name, owner_id = excluded.owner_id",
        thing=thing,
        person=person,
        word=WORD,
    )


async def update_order(session: AsyncSession, _: UUID, thing: UUID) -> None:
    """By the row's own key: that the person is gone shows in nothing but the row."""
    await _run(
        session, 'UPDATE "order" SET remark = :word WHERE id = :thing', word=WORD, thing=thing
    )


async def reattach_order(session: AsyncSession, person: UUID, thing: UUID) -> None:
    await _run(
        session,
        'UPDATE "order" SET buyer_id = :person, remark = :word WHERE id = :thing',
        word=WORD,
        person=person,
        thing=thing,
    )


async def parent_and_child(session: AsyncSession, person: UUID, _: UUID) -> None:
    letter = uuid4()
    await _run(
        session,
        "INSERT INTO letter (id, person_id, words) VALUES (:id, :person, :word)",
        id=letter,
        person=person,
        word=WORD,
    )
    await asyncio.sleep(0.002)
    await _run(
        session,
        "INSERT INTO page (id, letter_id, person_id, words)"
        " VALUES (gen_random_uuid(), :letter, :person, :word)",
        letter=letter,
        person=person,
        word=WORD,
    )


async def child_of_an_old_parent(session: AsyncSession, person: UUID, thing: UUID) -> None:
    """Holds a row of the person before it asks for another: the way to a deadlock."""
    await _run(session, "UPDATE letter SET words = :word WHERE id = :thing", word=WORD, thing=thing)
    await asyncio.sleep(0.002)
    await insert_letter(session, person, thing)


WRITES: tuple[Write, ...] = (
    insert_letter,
    insert_lazily,
    upsert_house,
    update_order,
    reattach_order,
    parent_and_child,
    child_of_an_old_parent,
)


async def write_until_refused(
    shelf: Shelf, write: Write, person: UUID, thing: UUID, *, level: str
) -> int:
    """How often it worked before the person was gone."""
    for done in range(10_000):
        try:
            async with shelf.db.transaction() as session:
                await session.connection(execution_options={"isolation_level": level})
                await write(session, person, thing)
        except SubjectErasedError:
            return done
        except DBAPIError as error:
            if not collided(error):
                raise
        await asyncio.sleep(random.random() / 1000)
    raise AssertionError("nobody told the writer that the person is gone")


LEVELS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")


async def forget_while_written_about(shelf: Shelf, *, level: str, after: float) -> int:
    """Erase somebody `after` so many seconds of writing; how much was written until then."""
    person = (await shelf.fill()).person
    letter = await shelf.value(f"SELECT id FROM letter WHERE person_id = '{person}'")
    order = await shelf.value(f"SELECT id FROM \"order\" WHERE buyer_id = '{person}'")
    house = await shelf.value(f"SELECT id FROM house WHERE owner_id = '{person}'")
    things = {upsert_house: house, update_order: order, reattach_order: order}
    writers = [
        asyncio.create_task(
            write_until_refused(shelf, write, person, things.get(write, letter), level=level)
        )
        for write in WRITES
    ]
    async with asyncio.timeout(30):
        await asyncio.sleep(after)
        await shelf.deliver(a_command(person))
        worked = sum(await asyncio.gather(*writers))
    naming = [row for row in (await shelf.everything()).splitlines() if str(person) in row]
    assert len(naming) == 2, naming  # the tombstone and the invoice
    return worked


async def test_whatever_is_written_during_an_erasure_goes_or_is_refused(own: Shelf) -> None:
    name = own.db.url.rpartition("/")[2]
    await own.sql(f"ALTER DATABASE \"{name}\" SET deadlock_timeout = '50ms'")  # a second otherwise
    worked = 0
    for interleaving in range(8):
        worked += sum(
            await asyncio.gather(
                *(
                    forget_while_written_about(own, level=level, after=interleaving / 50)
                    for level in LEVELS
                )
            )
        )
        assert WORD not in await own.everything()
    print(f"written during {8 * len(LEVELS)} erasures: {worked} times")
    assert worked > 100
