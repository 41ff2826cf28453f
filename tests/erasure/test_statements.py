"""Erasing many people costs as many statements as erasing one: set by set, never row by row."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from sqlalchemy import event

from chassis.erasure_rows import waves
from tests.erasure.shelf import Shelf, a_command


@contextmanager
def counted(shelf: Shelf) -> Iterator[list[tuple[str, Any]]]:
    """The statements inside the block with their values; one with many rows counts for each."""
    seen: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, values: Any, ___: Any, many: Any) -> None:
        seen.extend([(statement, values)] * (len(values) if many else 1))

    engine = shelf.db.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def statements(shelf: Shelf, people: int, *, with_rows: int) -> int:
    """How many statements it takes to erase so many people, some of whom have rows everywhere."""
    filled = [(await shelf.fill()).person for _ in range(with_rows)]
    command = a_command(*filled, *(uuid4() for _ in range(people - with_rows)))
    with counted(shelf) as seen:
        await shelf.apply(command)
    return len(seen)


async def test_five_hundred_people_take_as_many_statements_as_one(shelf: Shelf) -> None:
    one = await statements(shelf, 1, with_rows=1)
    many = await statements(shelf, 500, with_rows=5)
    together = len(waves(shelf.catalogue))
    print(f"{shelf.catalogue.service}: {one} statements, of which {together} for its tables")
    assert many == one
    assert one <= 13 + together + 5 * len(shelf.eraser.rules)


async def test_no_statement_looks_at_every_person_once_more_for_each_person(shelf: Shelf) -> None:
    command = a_command((await shelf.fill()).person)
    with counted(shelf) as seen:
        await shelf.apply(command)
    falling = [(statement, values) for statement, values in seen if "WITH rows_0" in statement]
    assert falling
    async with shelf.db.engine.connect() as connection:
        for statement, values in falling:
            plan = await connection.exec_driver_sql(f"EXPLAIN {statement}", values)
            lines = "\n".join(row[0] for row in plan)
            assert "SubPlan" not in lines, f"{statement}\n{lines}"
