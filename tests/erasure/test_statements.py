"""Erasing many people costs as many statements as erasing one: set by set, never row by row."""

from uuid import uuid4

from sqlalchemy import event

from tests.erasure.shelf import Shelf, a_command


async def statements(shelf: Shelf, people: int, *, with_rows: int) -> int:
    """How many statements it takes to erase so many people, some of whom have rows everywhere."""
    filled = [(await shelf.fill()).person for _ in range(with_rows)]
    command = a_command(*filled, *(uuid4() for _ in range(people - with_rows)))
    counted: list[str] = []

    def count(_: object, __: object, statement: str, *___: object) -> None:
        counted.append(statement)

    engine = shelf.db.engine.sync_engine
    event.listen(engine, "before_cursor_execute", count)
    try:
        await shelf.apply(command)
    finally:
        event.remove(engine, "before_cursor_execute", count)
    return len(counted)


async def test_five_hundred_people_take_as_many_statements_as_one(shelf: Shelf) -> None:
    one = await statements(shelf, 1, with_rows=1)
    many = await statements(shelf, 500, with_rows=5)
    columns = len(shelf.catalogue.subjects)
    print(f"{shelf.catalogue.service}: {one} statements, {columns} subject columns")
    assert many == one
    assert one <= 13 + columns + 5 * len(shelf.eraser.rules)
