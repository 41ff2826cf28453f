"""Requests on connections that stay open, with next to no work on this side."""

import asyncio
import time
from collections.abc import Iterable

_OK = b"HTTP/1.1 200"


def request(path: str, head: dict[str, str]) -> bytes:
    """A GET as it goes over the line."""
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
    return "\r\n".join(lines).encode()


async def seconds_each(port: int, sent: bytes, *, count: int, together: int) -> list[float]:
    """How long each of `count` answers took, asked for by so many at a time.

    Raises `RuntimeError` for an answer other than 200.
    """
    left = iter(range(count))
    found = await asyncio.gather(*(_one_after_the_other(port, sent, left) for _ in range(together)))
    return [seconds for several in found for seconds in several]


async def _one_after_the_other(port: int, sent: bytes, left: Iterable[int]) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took = []
    for _ in left:
        began = time.perf_counter()
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(_OK):
            raise RuntimeError(head.decode())
        if b"chunked" in head:
            while size := int(await reader.readline(), 16):
                await reader.readexactly(size + 2)
            await reader.readline()
        else:
            length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
            await reader.readexactly(int(length))
        took.append(time.perf_counter() - began)
    writer.close()
    return took
