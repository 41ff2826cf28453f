"""The same people gone, by plain SQL: one transaction of set-based statements, and nothing more.

No evidence, no tombstone that is looked at, no record of what was done, nobody told.
"""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from uuid import UUID

import asyncpg

REMEMBER = (
    "INSERT INTO data_subject (id) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING",
    "SELECT id FROM data_subject WHERE id = ANY($1) ORDER BY id FOR UPDATE",
)
MARK = "UPDATE data_subject SET erased_at = now() WHERE id = ANY($1)"


async def forget(
    url: str, *, statements: Sequence[str], people: Sequence[UUID], files: Iterable[Path]
) -> float:
    """Seconds to run each statement with the people as `$1`, unlink the files, and commit."""
    connection = await asyncpg.connect(url)
    try:
        began = time.perf_counter()
        async with connection.transaction():
            for statement in (*REMEMBER, *statements, MARK):
                await connection.execute(statement, people)
            for path in files:
                path.unlink()
        return time.perf_counter() - began
    finally:
        await connection.close()
