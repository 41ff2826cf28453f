"""The copy of the ledger in a bucket, where there is no folder to look at."""

import os
import signal
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from chassis import clock, crash, ledger
from chassis.evidence import import_key
from chassis.ids import new_id
from chassis.ledger import (
    NO_PREVIOUS,
    Ledger,
    LedgerConflictError,
    LedgerCopy,
    LedgerEntryError,
    LedgerUnreachableError,
    seal,
    unseal,
)

KEY = import_key(ECKey.generate_key("P-256").as_pem(private=True))


def an_entry(position: int, previous_hash: str = NO_PREVIOUS, **more: Any) -> dict[str, Any]:
    return {
        "position": position,
        "previous_hash": previous_hash,
        "broadcast_id": str(new_id()),
        "at": clock.now().isoformat(),
        "due_by": (clock.now() + timedelta(days=30)).isoformat(),
        "reason": "canary",
        "subjects": [{"erasure_id": str(new_id()), "subject_id": str(new_id())}],
        **more,
    }


@pytest.fixture(params=["bucket", "folder"])
def copy(request: pytest.FixtureRequest, tmp_path: Path) -> LedgerCopy:
    return LedgerCopy("memory:///" if request.param == "bucket" else tmp_path.as_uri())


async def test_entries_are_written_once_and_read_as_they_come(copy: LedgerCopy) -> None:
    ledger, head = Ledger(copy, keys=[KEY]), NO_PREVIOUS
    assert await copy.read(1) is None
    assert await ledger.refresh() == 0
    for position in (1, 2, 3):
        entry = an_entry(position, head)
        await copy.append(position, seal(entry, KEY))
        await copy.append(position, seal(entry, KEY))  # another signature of the same
        with pytest.raises(LedgerConflictError, match=f"position {position}"):
            await copy.append(position, seal(an_entry(position, head), KEY))
        assert await ledger.refresh() == position
        head = ledger.head
    assert await copy.after(1) == [2, 3]
    assert await copy.after(3) == []
    assert (await ledger.entry(2)).position == 2
    late = Ledger(copy, keys=[KEY])
    await late.agree(2, (await ledger.entry(2)).entry_hash)
    assert (late.known, await late.refresh(), late.head) == (2, 3, head)
    with pytest.raises(LedgerEntryError, match="another entry"):
        await late.agree(1, "0" * 64)
    with pytest.raises(LedgerEntryError, match="position 4 .*missing"):
        await late.agree(4, "0" * 64)


async def test_a_folder_that_is_not_there_is_no_empty_ledger(tmp_path: Path) -> None:
    copy = LedgerCopy((tmp_path / "unmounted").as_uri())
    for reading in (copy.read(1), copy.after(0)):
        with pytest.raises(LedgerUnreachableError):
            await reading
    with pytest.raises(FileNotFoundError):
        await copy.append(1, seal(an_entry(1), KEY))


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"null", b'{"entry": 1, "entry_hash": 2}', b"\xff", b'{"entry": {}}'],
)
def test_what_is_no_entry_is_unreadable_and_nothing_worse(raw: bytes) -> None:
    with pytest.raises(LedgerEntryError, match="position 7"):
        unseal(raw, position=7, keys=[KEY])


def test_a_signed_entry_without_people_is_unreadable() -> None:
    with pytest.raises(LedgerEntryError, match="unreadable"):
        unseal(seal(an_entry(7, subjects=[]), KEY), position=7, keys=[KEY])


async def test_an_entry_that_was_there_is_made_durable_before_it_counts_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who linked it may have died before its name was on the disk."""
    copy, sealed = LedgerCopy(tmp_path.as_uri()), seal(an_entry(1), KEY)
    await copy.append(1, sealed)
    folders: list[bool] = []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        folders.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    await copy.append(1, sealed)
    assert folders == [True]


WRITER = """
import asyncio, sys
from chassis.ledger import LedgerCopy
asyncio.run(LedgerCopy(sys.argv[1]).append(1, sys.stdin.buffer.read()))
"""


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("label", ["ledger.after_draft", "ledger.after_fsync", "ledger.after_link"])
async def test_the_draft_of_a_process_that_died_goes_with_the_next_one_s_first_write(
    label: str, tmp_path: Path
) -> None:
    first = seal(an_entry(1), KEY)
    done = subprocess.run(
        [sys.executable, "-c", WRITER, tmp_path.as_uri()],
        input=first,
        env={**os.environ, crash.VARIABLE: label},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert any(name.startswith(".") for name in files_in(tmp_path))
    await LedgerCopy(tmp_path.as_uri()).append(1, first)
    assert files_in(tmp_path) == ["000000000001.json"]


@pytest.mark.parametrize("label", ["ledger.after_draft", "ledger.after_fsync", "ledger.after_link"])
async def test_the_draft_that_another_process_is_writing_stays(
    label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = seal(an_entry(1), KEY)
    looked = []

    def another_one_starts(reached: str) -> None:
        if reached == label:
            looked.append(files_in(tmp_path))
            ledger._sweep(tmp_path)

    monkeypatch.setattr(crash, "point", another_one_starts)
    copy = LedgerCopy(tmp_path.as_uri())
    await copy.append(1, first)
    assert any(name.startswith(".") for name in looked[0])
    assert files_in(tmp_path) == ["000000000001.json"]
    assert await copy.read(1) == first


async def test_two_that_write_the_same_entry_at_once_leave_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In containers both may have the same number: neither may touch the other's draft."""
    entry = an_entry(1)
    mine, theirs = seal(entry, KEY), seal(entry, KEY)

    def the_other_one_is_faster(reached: str) -> None:
        if reached == "ledger.after_fsync":
            monkeypatch.undo()
            ledger._write_once(tmp_path, "000000000001.json", theirs)

    monkeypatch.setattr(crash, "point", the_other_one_is_faster)
    copy = LedgerCopy(tmp_path.as_uri())
    await copy.append(1, mine)
    assert files_in(tmp_path) == ["000000000001.json"]
    assert await copy.read(1) == theirs
