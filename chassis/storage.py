"""Files behind one interface: a folder locally, a bucket in production.

A file belongs to a row: the row exists, as pending, before the upload, and the file is gone before
the transaction that forgets the row commits. Every operation may be repeated.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlparse

import obstore
from obstore.exceptions import NotFoundError
from obstore.store import LocalStore, ObjectStore, from_url

from chassis import crash

_AT_ONCE = 50
"""Requests in flight: a bucket answers each in milliseconds, and many at a time."""


class Storage:
    """The files of one service, addressed by opaque keys."""

    def __init__(self, url: str, credentials: Mapping[str, str] | None = None) -> None:
        parsed = urlparse(url)
        if parsed.scheme == "file":
            folder = Path(unquote(parsed.path))
            self._store: ObjectStore = LocalStore(prefix=folder, mkdir=True)
        else:
            self._store = bucket(url, credentials)

    async def put(self, key: str, content: bytes) -> None:
        """Store a file, replacing one of the same key."""
        await obstore.put_async(self._store, key, content)

    async def get(self, key: str) -> bytes | None:
        """The content of a file, or None when there is none."""
        try:
            found = await obstore.get_async(self._store, key)
        except (NotFoundError, FileNotFoundError):
            return None
        return bytes(await found.bytes_async())

    async def put_file(self, key: str, content: IO[bytes]) -> None:
        """Store what a file holds from its beginning, in parts when it is large."""
        content.seek(0)
        await obstore.put_async(self._store, key, content)

    async def stream(self, key: str) -> AsyncIterator[bytes] | None:
        """The content of a file in parts of about a megabyte, or None when there is none."""
        try:
            found = await obstore.get_async(self._store, key)
        except (NotFoundError, FileNotFoundError):
            return None
        return _parts(found)

    async def delete(self, *keys: str) -> None:
        """Delete files; those that are gone already are no error."""
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            if not await self._delete(some):
                # A folder stops at the first that is gone, and does not say which others it left.
                await asyncio.gather(*map(self._delete, some))

    async def _delete(self, some: str | Sequence[str]) -> bool:
        """Whether all were there."""
        try:
            await obstore.delete_async(self._store, some)
        except (NotFoundError, FileNotFoundError):
            return False
        crash.point("storage.after_delete")
        return True

    async def holds(self, *keys: str) -> list[str]:
        """Those of the files that are there."""
        found: list[str] = []
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            there = await asyncio.gather(*map(self._holds, some))
            found += [key for key, is_there in zip(some, there, strict=True) if is_there]
        return found

    async def _holds(self, key: str) -> bool:
        try:
            await obstore.head_async(self._store, key)
        except (NotFoundError, FileNotFoundError):
            return False
        return True


def bucket(url: str, credentials: Mapping[str, str] | None = None) -> ObjectStore:
    """The bucket at `url`; its region and endpoint are the environment's (`AWS_REGION`, `AWS_ENDPOINT`).

    `credentials`: `access_key_id` and `secret_access_key`, else those of the environment.
    """
    config: Any = dict(credentials or {})
    return from_url(url, config=config or None)


async def _parts(found: Any) -> AsyncIterator[bytes]:
    async for part in found.stream(min_chunk_size=1 << 20):
        yield bytes(part)
