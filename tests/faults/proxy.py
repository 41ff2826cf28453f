"""A TCP proxy that can delay, freeze and reset what passes through it."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """One listening port in front of another."""

    target: tuple[str, int]
    port: int = 0
    delay: float = 0
    """Seconds that each piece takes, in each direction."""
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared: a black hole; connections live and nothing passes."""
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def reset(self) -> None:
        """RST to both ends of every connection, in the middle of whatever they say."""
        for writer in self._open:
            ending = struct.pack("ii", 1, 0)
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ending)
            writer.transport.abort()
        self._open.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection(*self.target)
        self._open |= {writer, there}
        await asyncio.gather(self._copy(reader, there), self._copy(there_reader, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                await asyncio.sleep(self.delay)
                await self.flowing.wait()
                writer.write(chunk)
                await writer.drain()
        self._open.discard(writer)
        writer.close()


@asynccontextmanager
async def proxying(address: str) -> AsyncIterator[Proxy]:
    """A proxy in front of `host:port`."""
    host, _, port = address.partition(":")
    proxy = Proxy((host, int(port)))
    proxy.flowing.set()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        proxy.flowing.set()
        server.close()
        proxy.reset()
        await asyncio.sleep(0.05)
