"""Looking at a database from outside, many times a second, without a new connection for each look."""

import asyncio
from typing import Any

import asyncpg

_LOST = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
)


class Eye:
    """A connection that is opened when somebody looks, kept, and replaced once it is lost.

    A server that was killed, a database that was restored or dropped in between is seen as it is now.
    """

    def __init__(self) -> None:
        self._kept: tuple[str, asyncio.AbstractEventLoop, asyncpg.Connection] | None = None

    async def rows(self, url: str, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        kept = self._take(url)
        if kept is not None:
            try:
                return await self._look(url, kept, sql, arguments)
            except _LOST:
                kept.terminate()
        return await self._look(url, await _opened(url), sql, arguments)

    def _take(self, url: str) -> asyncpg.Connection | None:
        """The kept one, which is nobody else's until it is given back."""
        kept, self._kept = self._kept, None
        if kept is None:
            return None
        where, loop, connection = kept
        if where == url and loop is asyncio.get_running_loop() and not connection.is_closed():
            return connection
        connection.terminate()
        return None

    async def _look(
        self, url: str, connection: asyncpg.Connection, sql: str, arguments: tuple[Any, ...]
    ) -> list[asyncpg.Record]:
        try:
            found: list[asyncpg.Record] = await connection.fetch(sql, *arguments)
            return found
        finally:
            if self._kept is None and not connection.is_closed():
                self._kept = url, asyncio.get_running_loop(), connection
            else:
                connection.terminate()

    async def close(self) -> None:
        if self._kept is not None:
            await self._kept[2].close()
            self._kept = None


async def _opened(url: str) -> asyncpg.Connection:
    # No statement is kept: tables change behind them.
    return await asyncpg.connect(url, statement_cache_size=0)
