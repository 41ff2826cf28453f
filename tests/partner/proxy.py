"""A TCP proxy between a process and its broker: it can hang up on both, or hold back a message."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """One listening port; `hold` names the bytes whose sender is not heard from then on."""

    target: tuple[str, int]
    hold: bytes | None = None
    held: asyncio.Event = field(default_factory=asyncio.Event)
    refuse: bool = False
    port: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def hang_up(self) -> None:
        """Reset every connection."""
        for writer in self._open:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuse:
            writer.transport.abort()
            return
        there_reader, there = await asyncio.open_connection(*self.target)
        self._open |= {writer, there}
        await asyncio.gather(
            self._copy(reader, there, watched=True), self._copy(there_reader, writer, watched=False)
        )

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, watched: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                if watched and self.hold and self.hold in chunk:
                    self.held.set()
                if not (watched and self.held.is_set()):
                    writer.write(chunk)
                    await writer.drain()
        writer.close()


@asynccontextmanager
async def proxying(host: str, port: int) -> AsyncIterator[Proxy]:
    """A proxy to that address."""
    proxy = Proxy((host, port))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    async with server:
        yield proxy
        proxy.hang_up()
