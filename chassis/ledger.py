"""The ledger copy: every broadcast of an erasure, kept outside the databases.

One entry per position, written once and never changed. It holds opaque ids only. It names whom
a restored database must forget again; nothing reads it back at start yet.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote, urlparse

import obstore
from obstore.exceptions import AlreadyExistsError, NotFoundError
from obstore.store import ObjectStore, from_url

_SUFFIX = ".json"


class LedgerConflictError(Exception):
    """Another entry already stands at that position: this database is older than the copy."""


class LedgerCopy:
    """Entries at `<url>/<position>.json`, in a folder (`file:///…`) or a bucket."""

    def __init__(self, url: str) -> None:
        parsed = urlparse(url)
        self._folder = Path(unquote(parsed.path)) if parsed.scheme == "file" else None
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        self._store: ObjectStore | None = None if self._folder is not None else from_url(url)

    async def append(self, position: int, entry: bytes) -> None:
        """Write an entry durably; writing the same one again is no error.

        Raises `LedgerConflictError` when another entry stands there already.
        """
        name = _name(position)
        if self._folder is not None:
            await asyncio.to_thread(_write_once, self._folder, name, entry)
        elif self._store is not None:
            try:
                await obstore.put_async(self._store, name, entry, mode="create")
            except AlreadyExistsError:
                pass
        if await self.read(position) != entry:
            raise LedgerConflictError(f"position {position}")

    async def read(self, position: int) -> bytes | None:
        """The entry at that position, or None."""
        if self._folder is not None:
            path = self._folder / _name(position)
            return await asyncio.to_thread(lambda: path.read_bytes() if path.exists() else None)
        if self._store is None:
            return None
        try:
            found = await obstore.get_async(self._store, _name(position))
        except (NotFoundError, FileNotFoundError):
            return None
        return bytes(await found.bytes_async())

    async def positions(self) -> AsyncIterator[int]:
        """Every position written, rising."""
        if self._folder is not None:
            names = await asyncio.to_thread(os.listdir, self._folder)
        elif self._store is not None:
            names = [item["path"] async for batch in obstore.list(self._store) for item in batch]
        else:
            names = []
        for name in sorted(names):
            if name.endswith(_SUFFIX) and name.removesuffix(_SUFFIX).isdigit():
                yield int(name.removesuffix(_SUFFIX))


def _name(position: int) -> str:
    return f"{position:012d}{_SUFFIX}"


def _write_once(folder: Path, name: str, entry: bytes) -> None:
    """Create the file whole or not at all: a half-written entry would be a broken promise."""
    final = folder / name
    if final.exists():
        return
    draft = folder / f".{name}.{os.getpid()}"
    with draft.open("wb") as file:
        file.write(entry)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, final)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
