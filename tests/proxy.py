"""A TCP proxy between a process and a server: it can hang up on both, or keep words from being heard."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Proxy:
    """One listening port.

    `hold`: once a client says these bytes, the server does not hear it any more. `hush`: once it has
    said these, it does not hear the server any more.
    """

    target: tuple[str, int]
    hold: bytes | None = None
    held: asyncio.Event = field(default_factory=asyncio.Event)
    hush: bytes | None = None
    hushed: asyncio.Event = field(default_factory=asyncio.Event)
    refuse: bool = False
    port: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def mend(self) -> None:
        """Let everything through again."""
        self.hold = self.hush = None
        self.refuse = False
        self.held.clear()
        self.hushed.clear()

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
        await asyncio.gather(self._up(reader, there), self._down(there_reader, writer))

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                if self.hold and self.hold in chunk:
                    self.held.set()
                if self.hush and self.hush in chunk:
                    self.hushed.set()
                if not self.held.is_set():
                    writer.write(chunk)
                    await writer.drain()
        writer.close()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                if not self.hushed.is_set():
                    writer.write(chunk)
                    await writer.drain()
        writer.close()


@asynccontextmanager
async def proxying(url: str) -> AsyncIterator[Proxy]:
    """A proxy to the server at that address."""
    target = urlsplit(url)
    assert target.hostname
    assert target.port
    proxy = Proxy((target.hostname, target.port))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    async with server:
        yield proxy
        proxy.hang_up()
