"""A stored file is gone before anybody says so."""

from dataclasses import replace
from pathlib import Path

import pytest

from chassis.erasure import FilesLeftError
from chassis.storage import Storage
from tests.erasure.shelf import Shelf, a_command


class Broken(Storage):
    """A storage that is away."""

    async def delete(self, *keys: str) -> None:
        raise ConnectionError("storage away")


class Deaf(Storage):
    """A storage that says yes and does nothing."""

    async def delete(self, *keys: str) -> None:
        pass


class Watched(Storage):
    """Notes what the rest of the world sees when the files go."""

    def __init__(self, url: str, shelf: Shelf) -> None:
        super().__init__(url)
        self.shelf = shelf
        self.seen: list[int] = []

    async def delete(self, *keys: str) -> None:
        await super().delete(*keys)
        self.seen.append(await self.shelf.value("SELECT count(*) FROM applied"))


async def test_files_are_gone_before_the_acknowledging_commit(own: Shelf) -> None:
    filling, other = await own.fill(), await own.fill()
    assert own.files() == filling.files.keys() | other.files.keys()
    watched = Watched(own.folder.as_uri(), own)
    await replace(own, eraser=replace(own.eraser, storage=watched)).apply(a_command(filling.person))
    assert watched.seen == [0]
    assert own.files() == set(other.files)
    assert await own.value("SELECT count(*) FROM applied") == 1


async def test_a_storage_that_fails_holds_the_acknowledgement_back(own: Shelf) -> None:
    filling = await own.fill()
    command = a_command(filling.person)
    away = replace(own, eraser=replace(own.eraser, storage=Broken(own.folder.as_uri())))
    before = await own.everything()
    with pytest.raises(ConnectionError):
        await away.apply(command)
    assert await own.everything() == before
    await own.apply(command)
    assert own.files() == set()


async def test_a_storage_that_keeps_what_it_was_told_to_delete_holds_it_back_too(
    own: Shelf,
) -> None:
    filling = await own.fill()
    deaf = replace(own, eraser=replace(own.eraser, storage=Deaf(own.folder.as_uri())))
    before = await own.everything()
    with pytest.raises(FilesLeftError):
        await deaf.apply(a_command(filling.person))
    assert await own.everything() == before
    assert own.files() == set(filling.files)


async def test_files_that_are_gone_already_are_no_obstacle(own: Shelf) -> None:
    """A crash between the deletion and the commit leaves rows without files."""
    filling = await own.fill()
    for path in Path(own.folder).rglob("*"):
        path.unlink()
    await own.apply(a_command(filling.person))
    assert await own.value("SELECT count(*) FROM applied") == 1


async def test_one_file_that_is_gone_hides_no_other(tmp_path: Path) -> None:
    """A folder stops at the first that is gone; those behind it go all the same."""
    storage = Storage(tmp_path.as_uri())
    keys = [f"portrait-{number}" for number in range(120)]
    for key in keys:
        await storage.put(key, b"portrait")
    await storage.delete(keys[0], keys[60])
    await storage.delete(*keys)
    assert await storage.holds(*keys) == []
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
