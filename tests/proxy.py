"""A TCP proxy between a process and a server: it slows, freezes, resets, or keeps words from being heard."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Proxy:
    """One listening port in front of a server."""

    target: tuple[str, int]
    delay: float = 0
    """Seconds that each piece takes, in each direction."""
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared: a black hole; connections live and nothing passes."""
    hold: bytes | None = None
    """Once a client says these bytes, the server does not hear it any more: see `held`."""
    held: asyncio.Event = field(default_factory=asyncio.Event)
    hush: bytes | None = None
    """Once it has said these, it does not hear the server any more: see `hushed`."""
    hushed: asyncio.Event = field(default_factory=asyncio.Event)
    refuse: bool = False
    """Reset whoever comes."""
    port: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def mend(self) -> None:
        """Let everything through again, at once."""
        self.hold = self.hush = None
        self.refuse = False
        self.delay = 0
        self.held.clear()
        self.hushed.clear()
        self.flowing.set()

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
        if self.refuse:
            writer.transport.abort()
            return
        try:
            there_reader, there = await asyncio.open_connection(*self.target)
        except OSError:  # the server is away: so is this port
            writer.transport.abort()
            return
        self._open |= {writer, there}
        await asyncio.gather(
            self._copy(reader, there, watched=True), self._copy(there_reader, writer, watched=False)
        )

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, watched: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self.flowing.wait()
                if watched:
                    self._listen(chunk)
                if not (self.held if watched else self.hushed).is_set():
                    writer.write(chunk)
                    await writer.drain()
        self._open.discard(writer)
        writer.close()

    def _listen(self, chunk: bytes) -> None:
        if self.hold and self.hold in chunk:
            self.held.set()
        if self.hush and self.hush in chunk:
            self.hushed.set()


@asynccontextmanager
async def proxying(address: str) -> AsyncIterator[Proxy]:
    """A proxy in front of a URL, or of `host:port`."""
    target = urlsplit(address if "//" in address else f"//{address}")
    assert target.hostname
    assert target.port
    proxy = Proxy((target.hostname, target.port))
    proxy.flowing.set()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        proxy.mend()
        server.close()
        proxy.reset()
        await asyncio.sleep(0.05)
