"""Every id that a service holds, and whether what it names is still somewhere (E4)."""

import asyncio
from uuid import UUID

import asyncpg

from tests.journeys.stack import Stack

OUTLIVE = {
    "inbox",
    "outbox",
    "applied",
    "idempotency_key",
    "erasure",
    "erasure_alias",
    "broadcast",
    "step",
    "waiver",
    "escalation",
    "last_message",
    "retention_run",
}
"""Tables of messages and proofs: what they name may be gone, that is what they are for."""

_COLUMNS = """
SELECT c.table_name AS table, c.column_name AS column,
    c.column_name = 'live_id' OR EXISTS (
        SELECT FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid
        WHERE k.contype = 'p' AND cardinality(k.conkey) = 1 AND a.attnum = k.conkey[1]
        AND k.conrelid = c.table_name::regclass AND a.attname = c.column_name
        AND c.table_name <> 'data_subject'
    ) AS names
FROM information_schema.columns c
WHERE c.table_schema = 'public' AND c.data_type = 'uuid'
"""


def dangling(stack: Stack) -> dict[str, set[UUID]]:
    """By column, the ids that name nothing: no row of any service, no person who is alive."""
    return asyncio.run(_dangling(stack.described["postgres"]))


async def _dangling(urls: dict[str, str]) -> dict[str, set[UUID]]:
    known: set[UUID] = set()
    used: dict[str, set[UUID]] = {}
    for service, url in urls.items():
        connection = await asyncpg.connect(url)
        try:
            for row in await connection.fetch(_COLUMNS):
                if row["table"] in OUTLIVE or (row["table"], row["column"]) == (
                    "data_subject",
                    "id",
                ):
                    continue
                values = await connection.fetch(
                    f'SELECT DISTINCT "{row["column"]}" FROM "{row["table"]}"'
                    f' WHERE "{row["column"]}" IS NOT NULL'
                )
                found = {value[0] for value in values}
                if row["names"]:
                    known |= found
                else:
                    used[f"{service}.{row['table']}.{row['column']}"] = found
        finally:
            await connection.close()
    return {column: found - known for column, found in used.items() if found - known}
