"""A disk that is full: a named refusal, nothing lost, nothing half written, and on it goes once there is room."""

import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import asyncpg
import pytest
from joserfc.jwk import ECKey
from PIL import Image

from chassis.ids import new_id
from chassis.ledger import NO_PREVIOUS, LedgerCopy, seal
from contracts.identity import AccountOpened
from deploy.local import binaries, private_postgres
from services.directory.wiring import SERVICE as DIRECTORY
from services.identity.wiring import SERVICE as IDENTITY
from tests.mailbox import Mailbox
from tests.stand import Stand, standing

Disk = Callable[[str], Path]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Mounts a small disk of that size; it is gone after the test."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        place = tmp_path / f"disk {len(mounted)}"  # with a space, as people have
        place.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", place],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"a disk of its own takes the right to mount: {done.stderr.strip()}")
        mounted.append(place)
        return place

    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)  # PostgreSQL runs as somebody else
    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(place: Path) -> Path:
    """Take all the room there is."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                continue
    return ballast


@asynccontextmanager
async def identity_on(
    place: Path, servers: SimpleNamespace, mailbox: Mailbox, folder: Path
) -> AsyncIterator[tuple[Stand, binaries.PrivateServer]]:
    """The identity service, whose PostgreSQL has its data there."""
    (place / "logs").mkdir()
    server, url, _ = private_postgres.server(
        directory=place, folder=binaries.place(place), durable=True
    )
    server.start()
    try:
        server.wait()
        here = SimpleNamespace(**{**vars(servers), "postgres_url": url})
        async with standing(IDENTITY, servers=here, folder=folder, smtp_url=mailbox.url) as stand:
            yield stand, server
    finally:
        server.stop()


async def sign_up(stand: Stand, number: int) -> int:
    answer = await stand.client.post(
        "/api/identity/accounts",
        json={
            "email": f"personne{number}@example.org",
            "password": "des tonneaux de vin rouge",
            "notice_version": "2026-11",
        },
    )
    if answer.status_code != 202:
        assert answer.json()["type"] == "urn:ccib:problem:unavailable", answer.text
    return answer.status_code


@pytest.mark.timeout(180)
async def test_a_database_without_room_refuses_by_name_and_keeps_all_that_it_promised(
    disk: Disk, servers: SimpleNamespace, mailbox: Mailbox, tmp_path: Path
) -> None:
    place = disk("256m")
    async with identity_on(place, servers, mailbox, tmp_path / "data") as (stand, server):
        promised = [number for number in range(3) if await sign_up(stand, number) == 202]
        assert len(promised) == 3
        ballast = fill(place)
        refused = 0
        for number in range(100, 140):
            # The next segment of its log finds no room.
            with contextlib.suppress(OSError, asyncpg.PostgresError):
                await stand.rows("SELECT pg_switch_wal()")
            if await sign_up(stand, number) == 202:
                promised.append(number)
            else:
                refused += 1
            if refused == 3:
                break
        assert refused == 3
        ballast.unlink()
        if not server.alive:
            server.start()
        server.wait()
        for _ in range(100):
            if await sign_up(stand, 999) == 202:
                break
        else:
            pytest.fail("it does not take sign-ups again")
        kept = {row["email"] for row in await stand.rows("SELECT email FROM account")}
        assert {f"personne{number}@example.org" for number in [*promised, 999]} <= kept
        for row in await stand.rows("SELECT id FROM account"):
            await stand.hear(AccountOpened, account_id=row["id"])


def a_photo(side: int) -> bytes:
    noise = Image.effect_noise((side, side), 90).convert("RGB")
    stored = BytesIO()
    noise.save(stored, "PNG")
    return stored.getvalue()


async def test_a_photo_that_finds_no_room_is_refused_and_the_one_before_stays(
    disk: Disk, servers: SimpleNamespace, mailbox: Mailbox, tmp_path: Path
) -> None:
    place = disk("4m")
    (place / "files").mkdir()
    async with standing(
        DIRECTORY,
        servers=servers,
        folder=tmp_path / "data",
        smtp_url=mailbox.url,
        storage_url=(place / "files").as_uri(),
    ) as stand:
        headers = stand.token(new_id())
        profile = {"last_name": "Martin", "first_name": "Ana"}
        made = await stand.client.put("/api/directory/me/profile", json=profile, headers=headers)
        assert made.is_success, made.text

        async def put(content: bytes) -> int:
            answer = await stand.client.put(
                "/api/directory/me/photo",
                content=content,
                headers={**headers, "Content-Type": "image/png"},
            )
            if not answer.is_success:
                assert answer.json()["type"] == "urn:ccib:problem:unavailable", answer.text
            return answer.status_code

        assert await put(a_photo(600)) < 300
        before = await stand.client.get("/api/directory/me/photo", headers=headers)
        ballast = fill(place)
        assert await put(a_photo(601)) == 503
        still = await stand.client.get("/api/directory/me/photo", headers=headers)
        assert still.content == before.content
        ballast.unlink()
        assert await put(a_photo(602)) < 300
        after = await stand.client.get("/api/directory/me/photo", headers=headers)
        assert after.content != before.content
        await stand.eventually("SELECT count(*) = 1 FROM photo WHERE state = 'stored'")
        files = [path for path in (place / "files").rglob("*") if path.is_file()]
        assert len(files) == 1, files


async def test_a_ledger_without_room_takes_no_half_entry(disk: Disk) -> None:
    place = disk("1m")
    copy, key = LedgerCopy(place.as_uri()), ECKey.generate_key("P-256", auto_kid=True)
    entry = {"position": 1, "previous_hash": NO_PREVIOUS, "subjects": ["x" * 20_000]}
    ballast = fill(place)
    with pytest.raises(OSError, match="No space"):
        await copy.append(1, seal(entry, key))
    assert await copy.after(0) == []
    ballast.unlink()
    assert list(place.iterdir()) == []
    await copy.append(1, seal(entry, key))
    assert await copy.after(0) == [1]
