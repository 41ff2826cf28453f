"""Counting what is sent to the database: the measure that no machine changes."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from sqlalchemy import Engine, event

_OF_THE_DRIVER = ("SELECT current_setting('jit')", "WITH RECURSIVE typeinfo_tree(")
"""What the driver asks once per connection."""


@contextmanager
def counted_statements(*, database: str = "") -> Iterator[Counter[str]]:
    """Counts, by their first three words, what connections opened in the block send, until they close.

    `BEGIN`, `COMMIT` and their like count too. With `database`, only what is sent to that one.
    """
    counted: Counter[str] = Counter()
    connect = asyncpg.connect

    def count(sql: str) -> None:
        words = " ".join(sql.rstrip("; ").split()[:3])
        if not words.startswith(_OF_THE_DRIVER):
            counted[words] += 1

    async def connect_and_count(*args: Any, **more: Any) -> Any:
        connection = await connect(*args, **more)
        name = more.get("database") or urlsplit(args[0]).path[1:]
        if database in ("", name):
            connection.add_query_logger(lambda record: count(record.query))
        return connection

    # The driver does not log what it has prepared: SQLAlchemy does, and prepares everything.
    def before(connection: Any, _: Any, sql: str, *__: Any) -> None:
        if database in ("", connection.engine.url.database):
            count(sql)

    asyncpg.connect = connect_and_count
    event.listen(Engine, "before_cursor_execute", before)
    try:
        yield counted
    finally:
        event.remove(Engine, "before_cursor_execute", before)
        asyncpg.connect = connect
