"""The same SQL under a bare HTTP call: `python -m bench.references.http DESCRIPTION PORT_FILE`.

An ASGI function of its own under uvicorn, one pool, one transaction per request, the given statements
one after the other, the rows as JSON. No routing, no token, no rules about who may see what.
"""

import asyncio
import base64
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import uvicorn
import uvloop

POOL = 10


def application(pool: asyncpg.Pool, statements: list[tuple[str, list[Any]]]) -> Any:
    """Answers every request with all rows of these statements."""

    async def answer(scope: Any, _: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        async with pool.acquire() as connection, connection.transaction():
            found = [
                [list(row) for row in await connection.fetch(sql, *values)]
                for sql, values in statements
            ]
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"application/json")],
            }
        )
        await send({"type": "http.response.body", "body": json.dumps(found, default=str).encode()})

    return answer


async def main(told: dict[str, Any], tell: Callable[[str], Any]) -> None:
    """Serve until the process is told to end; the port is told."""
    statements = pickle.loads(base64.b64decode(told["statements"]))  # noqa: S301 - of our parent
    async with asyncpg.create_pool(told["database_url"], min_size=POOL, max_size=POOL) as pool:
        config = uvicorn.Config(
            application(pool, statements), port=0, lifespan="off", log_config=None, access_log=False
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        tell(str(server.servers[0].sockets[0].getsockname()[1]))
        await serving


if __name__ == "__main__":
    uvloop.run(main(json.loads(Path(sys.argv[1]).read_bytes()), Path(sys.argv[2]).write_text))
