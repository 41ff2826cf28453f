"""The ledger copy: every broadcast of an erasure, kept outside the databases.

One entry per position, 1, 2, 3…, written once and never changed, with opaque ids only. Each entry
names the one before it, and privacy signs each: one entry vouches for all before it. A database that
was restored, or failed over to a lagging replica, finds here whom it must forget again before it
serves anybody (`chassis.restore`).
"""

import asyncio
import contextlib
import fcntl
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlparse

import obstore
from joserfc.jwk import ECKey
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import ObjectStore
from pydantic import ValidationError

from chassis import crash
from chassis.evidence import SignatureError, canonical, digest, load_key, sign, verify
from chassis.ids import new_id
from chassis.storage import bucket
from contracts.privacy import Erase

NO_PREVIOUS = "0" * 64
"""What the first entry of the ledger is chained to."""
_SUFFIX = ".json"


class LedgerConflictError(Exception):
    """Another entry stands at that position of the copy: this database knows an older past."""


class LedgerUnreachableError(Exception):
    """The copy cannot be read right now."""


class LedgerEntryError(Exception):
    """An entry of the copy is not what privacy wrote there. Nothing of it is applied."""

    def __init__(self, position: int, what: str) -> None:
        super().__init__(f"position {position} of the ledger copy: {what}")
        self.position = position
        self.what = what


@dataclass(frozen=True)
class Sealed:
    """One entry whose hash and signature were found right."""

    entry: Mapping[str, Any]
    entry_hash: str

    @property
    def position(self) -> int:
        return int(self.entry["position"])

    @property
    def previous_hash(self) -> str:
        return str(self.entry["previous_hash"])

    @property
    def at(self) -> datetime:
        """When privacy took the position."""
        return datetime.fromisoformat(self.entry["at"])

    def command(self) -> Erase:
        """The command that was, or will be, broadcast for it."""
        return Erase.model_validate({**self.entry, "entry_hash": self.entry_hash})


def seal(entry: Mapping[str, Any], key: ECKey) -> bytes:
    """What the copy keeps of an entry, signed with privacy's evidence key."""
    content = {"entry": dict(entry), "entry_hash": digest(entry)}
    return canonical({**content, "signature": sign(content, key)})


def unseal(raw: bytes, *, position: int, keys: Sequence[ECKey]) -> Sealed:
    """Check an entry of the copy. Raises `LedgerEntryError` saying what is wrong."""
    try:
        found = json.loads(raw)
        content = {"entry": found["entry"], "entry_hash": found["entry_hash"]}
        signature = str(found.get("signature", ""))
        sealed = Sealed(content["entry"], str(content["entry_hash"]))
        if digest(content["entry"]) != content["entry_hash"]:
            raise LedgerEntryError(position, "its content is not what its hash says")
        if not any(_signed(content, signature, key) for key in keys):
            raise LedgerEntryError(position, "privacy has not signed it")
        if sealed.position != position:
            raise LedgerEntryError(position, f"it was written for position {sealed.position}")
        sealed.command()
        _ = sealed.previous_hash, sealed.at
    except (ValueError, TypeError, KeyError, AttributeError, ValidationError) as error:
        raise LedgerEntryError(position, f"unreadable ({type(error).__name__})") from error
    return sealed


def _signed(content: Mapping[str, Any], signature: str, key: ECKey) -> bool:
    try:
        verify(content, signature, key)
    except SignatureError:
        return False
    return True


def trusted_keys(trust_dir: Path) -> list[ECKey]:
    """The keys whose entries are believed: privacy's, and in `ledger/` those it had before.

    Raises `OSError` or `ValueError` when privacy's key is not there.
    """
    former = sorted((trust_dir / "ledger").glob("*.pem"))
    return [load_key(path) for path in (trust_dir / "evidence" / "privacy.pem", *former)]


class LedgerCopy:
    """Entries at `<url>/<position>.json`, in a folder (`file:///…`) that is there, or a bucket."""

    def __init__(self, url: str, credentials: Mapping[str, str] | None = None) -> None:
        parsed = urlparse(url)
        self._folder = Path(unquote(parsed.path)) if parsed.scheme == "file" else None
        self._store: ObjectStore | None = (
            None if self._folder is not None else bucket(url, credentials)
        )
        self._seen: tuple[int, int] | None = None
        """When the folder had last changed, and the highest position it then held."""
        self._swept = False

    async def append(self, position: int, sealed: bytes) -> None:
        """Write an entry durably; writing the same one again is no error.

        Raises `LedgerConflictError` when another entry stands there already.
        """
        name = _name(position)
        if self._folder is not None:
            if not self._swept:
                await asyncio.to_thread(_sweep, self._folder)
                self._swept = True
            await asyncio.to_thread(_write_once, self._folder, name, sealed)
        elif self._store is not None:
            try:
                await obstore.put_async(self._store, name, sealed, mode="create")
            except (AlreadyExistsError, FileExistsError):
                pass
        if _content(await self.read(position)) != _content(sealed):
            raise LedgerConflictError(
                f"position {position} of the ledger copy holds another entry than the one reserved"
            )

    async def read(self, position: int) -> bytes | None:
        """The entry at that position, or None. Raises `LedgerUnreachableError`."""
        try:
            if self._folder is not None:
                return await asyncio.to_thread(_read, self._folder, _name(position))
            if self._store is None:
                return None
            found = await obstore.get_async(self._store, _name(position))
            return bytes(await found.bytes_async())
        except (NotFoundError, FileNotFoundError):
            if self._folder is not None:
                raise LedgerUnreachableError(f"{self._folder} is not there") from None
            return None
        except (OSError, BaseError) as error:
            raise LedgerUnreachableError(type(error).__name__) from error

    async def after(self, position: int) -> list[int]:
        """Every position written above that one, rising. Raises `LedgerUnreachableError`.

        A folder that has not changed is not listed again; a bucket lists what is newer only.
        """
        try:
            if self._folder is not None:
                return await asyncio.to_thread(self._list_folder, self._folder, position)
            if self._store is None:
                return []
            listed = obstore.list(self._store, offset=_name(position))
            return sorted(_positions([item["path"] async for some in listed for item in some]))
        except (OSError, BaseError) as error:
            raise LedgerUnreachableError(type(error).__name__) from error

    def _list_folder(self, folder: Path, position: int) -> list[int]:
        changed = folder.stat().st_mtime_ns
        if self._seen is not None and self._seen[0] == changed and self._seen[1] <= position:
            return []
        found = sorted(_positions([path.name for path in folder.iterdir()]))
        # Clocks of file systems are coarse: what was written in the same tick must be seen again.
        still = folder.stat().st_mtime_ns
        settled = still == changed and time.time_ns() - changed > _COARSE_NS
        self._seen = (changed, found[-1] if found else 0) if settled else None
        return [one for one in found if one > position]


_COARSE_NS = 1_000_000_000


class Ledger:
    """The copy as one process has read it: every entry up to `known` is there, signed and chained."""

    def __init__(self, copy: LedgerCopy, *, keys: Sequence[ECKey]) -> None:
        self.copy = copy
        self.known = 0
        """The highest position."""
        self.head = NO_PREVIOUS
        """The hash of the entry there."""
        self._keys = keys
        self._agreed: tuple[int, str] | None = None
        self._lock = asyncio.Lock()

    async def refresh(self) -> int:
        """Read what is new; returns `known`.

        Raises `LedgerUnreachableError`, and `LedgerEntryError` for an entry that is not privacy's,
        that does not follow the one before, or that is missing below a later one.
        """
        async with self._lock:
            for position in await self.copy.after(self.known):
                while self.known < position:  # a listing may miss what is written meanwhile
                    sealed = await self._read(self.known + 1)
                    if sealed.previous_hash != self.head:
                        raise LedgerEntryError(sealed.position, "it does not follow the one before")
                    self.known, self.head = sealed.position, sealed.entry_hash
            return self.known

    async def agree(self, position: int, entry_hash: str) -> None:
        """Compare with the highest position that a database has applied; the first time, begin there.

        Raises `LedgerEntryError` when the copy lacks it or holds another: then either is of another
        platform, or somebody has tampered with one of them. Else as `refresh`.
        """
        if self._agreed == (position, entry_hash):
            return
        if self.known:
            await self.refresh()
        if (self.known, self.head) == (position, entry_hash):
            self._agreed = (position, entry_hash)
            return
        sealed = await self._read(position)
        if sealed.entry_hash != entry_hash:
            raise LedgerEntryError(position, "the database has applied another entry")
        self._agreed = (position, entry_hash)
        if self.known == 0:
            self.known, self.head = position, entry_hash

    async def entry(self, position: int) -> Sealed:
        """An entry, and its link to the one before it. Raises as `refresh` does."""
        sealed = await self._read(position)
        before = (await self._read(position - 1)).entry_hash if position > 1 else NO_PREVIOUS
        if sealed.previous_hash != before:
            raise LedgerEntryError(position, "it does not follow the one before")
        return sealed

    async def _read(self, position: int) -> Sealed:
        raw = await self.copy.read(position)
        if raw is None:
            raise LedgerEntryError(position, "it is missing")
        return unseal(raw, position=position, keys=self._keys)


def _name(position: int) -> str:
    return f"{position:012d}{_SUFFIX}"


def _positions(names: Sequence[str]) -> list[int]:
    stems = [name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)]
    return [int(stem) for stem in stems if stem.isdigit()]


def _content(raw: bytes | None) -> Any:
    """An entry without its signature, which differs each time it is made."""
    try:
        found = json.loads(raw or b"null")
        return found["entry"], found["entry_hash"]
    except (ValueError, TypeError, KeyError):
        return raw


def _read(folder: Path, name: str) -> bytes | None:
    path = folder / name
    if path.exists():
        return path.read_bytes()
    if not folder.is_dir():
        raise FileNotFoundError(folder)
    return None


def _sweep(folder: Path) -> None:
    """Remove the drafts of processes that died over them; who lives holds a lock on its own.

    In the instant before it does, its draft may go: then its write fails, and is done again.
    """
    for draft in folder.glob(f".*{_SUFFIX}.*"):
        with contextlib.suppress(FileNotFoundError), draft.open("rb") as file:
            if _locked(file):
                draft.unlink()
                crash.point("ledger.after_sweep")


def _locked(file: IO[bytes]) -> bool:
    """Lock a draft until it is closed or its process is dead; False where that cannot be had."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _write_once(folder: Path, name: str, entry: bytes) -> None:
    """Create the file whole or not at all: a half-written entry would be a broken promise."""
    final = folder / name
    if not final.exists():
        # Of nobody else, also where each process is the first of its container: opening it again would
        # empty the entry that the other one has linked meanwhile.
        draft = folder / f".{name}.{new_id()}"
        with draft.open("xb") as file:
            try:
                _locked(file)
                file.write(entry)
                file.flush()
                crash.point("ledger.after_draft")
                os.fsync(file.fileno())
                crash.point("ledger.after_fsync")
                os.link(draft, final)
                crash.point("ledger.after_link")
            except FileExistsError:
                pass
            finally:
                draft.unlink(missing_ok=True)
    # Also when it was there: who linked it may have died before its name was durable.
    handle = os.open(folder, os.O_RDONLY)
    crash.point("ledger.before_folder_fsync")
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
