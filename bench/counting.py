"""Counting what is sent to the database: the measure that no machine changes."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg


@contextmanager
def counted_statements() -> Iterator[Counter[str]]:
    """Counts by first word what connections opened in the block send, from now on until they close.

    A prepared statement counts each time it is executed; `BEGIN`, `COMMIT` and their like count too.
    """
    counted: Counter[str] = Counter()
    connect = asyncpg.connect

    async def connect_and_count(*args: Any, **more: Any) -> Any:
        connection = await connect(*args, **more)
        connection.add_query_logger(lambda record: counted.update([record.query.split()[0]]))
        return connection

    asyncpg.connect = connect_and_count
    try:
        yield counted
    finally:
        asyncpg.connect = connect
