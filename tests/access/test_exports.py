"""The copy that a person takes away: asked for, collected, closed, told, gone."""

import asyncio
import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from PIL import Image

from chassis.ids import new_id
from services.privacy.jobs import exports as jobs
from tests.access.conftest import Data, Street, later

SLUG = "urn:ccib:problem:"


def stored(street: Street) -> dict[str, bytes]:
    """Every archive at rest."""
    folder = street.privacy.layout.storage / "privacy" / "exports"
    return {path.name: path.read_bytes() for path in folder.glob("*") if path.is_file()}


async def opened(street: Street, person: UUID, export_id: str, key: str) -> zipfile.ZipFile:
    content = await street.call(person, "GET", f"me/exports/{export_id}/archive", Export_Key=key)
    return zipfile.ZipFile(io.BytesIO(content))


def whole(archive: zipfile.ZipFile) -> Data:
    found: Data = json.loads(archive.read("donnees.json"))
    return found


def a_photo() -> bytes:
    made = io.BytesIO()
    Image.effect_noise((300, 200), 80).save(made, "PNG")
    return made.getvalue()


async def test_a_person_takes_everything_away_and_nobody_else_can(street: Street) -> None:
    person, email = await street.join(about="Je répare des péniches à Elbeuf")
    sent = await street.directory.client.put(
        "/api/directory/me/photo", content=a_photo(), headers=street.directory.token(person)
    )
    assert sent.status_code == 204, sent.text
    export_id, key = await street.requests(person)
    view = await street.ready(person, export_id)
    assert view["missing"] == []

    archive = await opened(street, person, export_id, key)
    assert archive.testzip() is None
    names = archive.namelist()
    assert {"LISEZMOI.txt", "donnees.html", "donnees.pdf", "donnees.json"} <= set(names)
    assert view["size"] > sum(entry.compress_size for entry in archive.infolist())
    [photo] = [name for name in names if name.startswith("fichiers/directory/")]
    shown = await street.directory.client.get(
        "/api/directory/me/photo", headers=street.directory.token(person)
    )
    assert archive.read(photo) == shown.content
    page = archive.read("donnees.html").decode()
    assert "Je répare des péniches à Elbeuf" in page
    assert '<html lang="fr">' in page
    assert email in page
    assert archive.read("donnees.pdf").startswith(b"%PDF-")
    assert b"/StructTreeRoot" in archive.read("donnees.pdf")
    sheet = archive.read("tableaux/identity_account_id.csv")
    assert sheet.startswith(b"\xef\xbb\xbf")
    assert email in sheet.decode("utf-8-sig")
    data = whole(archive)
    assert data["complet"]
    assert data["personne"] == str(person)
    assert [one["chemin"] for one in data["fichiers"]] == [photo]
    everything = b"".join(archive.read(name) for name in names)
    assert b"argon2" not in everything

    # At rest nothing can be read, and nothing keeps the key.
    [closed] = [content for name, content in stored(street).items() if name == export_id]
    assert b"PK\x03\x04" not in closed
    assert email.encode() not in closed
    [row] = await street.privacy.rows(
        "SELECT export::text FROM export WHERE id = $1", UUID(export_id)
    )
    assert key not in row[0]

    # The mail says that it is there, and nothing else.
    mail = await street.post.wait_for(email)
    assert "copie de vos données" in mail["Subject"]
    text = mail.get_content()
    for secret in (key, "péniches", str(person), export_id, "Lefèvre", "Anaïs"):
        assert secret not in text


async def test_another_id_or_key_finds_nothing(street: Street, person: UUID) -> None:
    stranger = uuid4()
    export_id, key = await street.requests(person)
    await street.ready(person, export_id)
    other_id, other_key = await street.requests(stranger)
    await street.ready(stranger, other_id)
    url = "me/exports/{}/archive"
    for who, which, told in (
        (stranger, export_id, key),
        (stranger, export_id, other_key),
        (person, other_id, key),
        (person, export_id, other_key),
        (person, uuid4(), key),
        (person, export_id, ""),
        (person, export_id, "A" * 43),
        (person, export_id, "not base64 !"),
        (person, export_id, key[:-1]),
        (person, export_id, key * 2),
    ):
        gone = await street.call(who, "GET", url.format(which), expect=404, Export_Key=told)
        assert gone["type"] == SLUG + "not-found"
    await street.call(person, "GET", url.format(export_id), expect=404)
    await street.call(person, "GET", url.format(export_id), expect=422, Export_Key="x" * 201)
    listed = await street.call(person, "GET", "me/exports")
    assert [one["id"] for one in listed] == [export_id]
    assert "key" not in listed[0]
    answer = await street.privacy.client.get(f"/api/privacy/{url.format(export_id)}")
    assert answer.status_code == 401
    assert (await opened(street, person, export_id, key)).testzip() is None


async def test_one_at_a_time_and_three_a_day(street: Street, person: UUID) -> None:
    with street.neighbour.doing(status=503):
        answers = await asyncio.gather(
            *(
                street.privacy.client.post(
                    "/api/privacy/me/exports", headers=street.privacy.token(person)
                )
                for _ in range(5)
            )
        )
        assert sorted(answer.status_code for answer in answers) == [202, 429, 429, 429, 429]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert {answer.json()["type"] for answer in refused} == {SLUG + "export-running"}
        assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
        [first] = [answer.json()["id"] for answer in answers if answer.status_code == 202]
        archive = f"me/exports/{first}/archive"
        await street.call(person, "GET", archive, expect=404, Export_Key="A" * 43)
    await street.try_again(first)
    await street.ready(person, first)
    for _ in range(2):
        export_id, _key = await street.requests(person)
        await street.ready(person, export_id)
    refusal = await street.call(person, "POST", "me/exports", expect=429)
    assert refusal["type"] == SLUG + "too-many-exports"
    assert 86_000 < refusal["retry_after"] <= 86_401
    with later(timedelta(days=1, seconds=1)):
        await street.requests(person)


async def test_a_service_that_is_down_is_waited_for_then_named(street: Street) -> None:
    person, email = await street.join()
    async with street.directory_is_down():
        export_id, _ = await street.requests(person)
        sql = "SELECT attempts > 0 FROM export WHERE id = $1"
        await street.privacy.eventually(sql, UUID(export_id))
        [waiting] = await street.call(person, "GET", "me/exports")
        assert waiting["state"] == "waiting"
        assert street.post.to(email) == []
    await street.try_again(export_id)
    assert (await street.ready(person, export_id))["missing"] == []

    with street.neighbour.doing(body=b"maintenance"):
        export_id, key = await street.requests(person)
        await street.privacy.eventually(sql, UUID(export_id))
        with later(timedelta(hours=25)):
            await street.try_again(export_id)
            ready = await street.ready(person, export_id)
            assert ready["missing"] == ["consultations"]
            archive = await opened(street, person, export_id, key)
    assert "Cette copie n'est pas complète" in archive.read("donnees.html").decode()
    assert "PAS COMPLÈTE" in archive.read("LISEZMOI.txt").decode()
    assert not whole(archive)["complet"]
    mail = await street.post.wait_for(email, count=2)
    assert "n'est pas complète" in mail.get_content()


async def test_after_seven_days_file_and_row_are_gone(street: Street, person: UUID) -> None:
    export_id, key = await street.requests(person)
    ready = await street.ready(person, export_id)
    assert export_id in stored(street)
    path = f"me/exports/{export_id}/archive"
    with later(timedelta(days=7, seconds=-30)):
        street.ring("job sweep_exports")
        await street.call(person, "GET", path, Export_Key=key)
        assert ready["expires_at"] > ready["ready_at"]
    with later(timedelta(days=7, seconds=30)):
        await street.call(person, "GET", path, expect=404, Export_Key=key)
        assert await street.call(person, "GET", "me/exports") == []
        street.ring("job sweep_exports")
        await street.privacy.eventually(
            "SELECT count(*) = 0 FROM export WHERE id = $1", UUID(export_id)
        )
    assert export_id not in stored(street)


async def test_erasing_the_person_takes_copies_along_ready_or_running(street: Street) -> None:
    person, other = new_id(), new_id()
    kept_id, kept_key = await street.requests(other)
    await street.ready(other, kept_id)
    ready_id, key = await street.requests(person)
    await street.ready(person, ready_id)
    with street.neighbour.doing(status=503):
        running_id, _ = await street.requests(person)
        evidence = await street.privacy.erase(person)
        assert evidence["subjects"][0]["tables"]["export"]["deleted"] == 2
    assert not {ready_id, running_id} & stored(street).keys()
    await street.call(person, "GET", f"me/exports/{ready_id}/archive", expect=401, Export_Key=key)
    assert (await opened(street, other, kept_id, kept_key)).testzip() is None


async def test_an_erasure_while_an_archive_is_written_leaves_nothing(
    street: Street, person: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, erased = asyncio.Event(), asyncio.Event()
    store = jobs._store

    async def slowly(*args: object, **more: object) -> None:
        written.set()
        await erased.wait()
        await store(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs, "_store", slowly)
    export_id, _ = await street.requests(person)
    await written.wait()
    await street.privacy.erase(person)
    erased.set()
    monkeypatch.undo()
    following, _ = await street.requests(uuid4())  # written after the one before is over
    await street.privacy.eventually(
        "SELECT state = 'ready' FROM export WHERE id = $1", UUID(following)
    )
    assert export_id not in stored(street)


async def test_who_is_erased_elsewhere_first_gets_no_copy(street: Street, person: UUID) -> None:
    with street.neighbour.doing(status=410):
        export_id, _ = await street.requests(person)
        await street.privacy.eventually(
            "SELECT count(*) = 0 FROM export WHERE id = $1", UUID(export_id)
        )


async def test_five_hundred_photos_are_all_there(street: Street, person: UUID) -> None:
    stand = street.directory
    await street.tells(person)
    keys = [f"photos/{uuid4()}.webp" for _ in range(500)]
    await stand.rows(
        "INSERT INTO photo (storage_key, person_id, state, asked_at)"
        " SELECT key, $1, 'discarded', now() FROM unnest($2::text[]) key",
        person,
        keys,
    )
    for key in keys[:-1]:
        await stand.runtime.storage.put(key, b"RIFF" + key.encode() * 100)
    export_id, key = await street.requests(person)
    await street.ready(person, export_id, seconds=60)
    archive = await opened(street, person, export_id, key)
    files = [name for name in archive.namelist() if name.startswith("fichiers/")]
    assert len(files) == len(set(files)) == 499
    data = whole(archive)
    paths = {one["cle"]: one["chemin"] for one in data["fichiers"]}
    assert all(archive.read(paths[k]) == b"RIFF" + k.encode() * 100 for k in keys[:-1])
    assert [one["cle"] for one in data["fichiers_absents"]] == keys[-1:]
    assert keys[-1] in archive.read("LISEZMOI.txt").decode()
    assert not data["complet"]


async def test_an_archive_that_was_touched_opens_for_nobody(street: Street, person: UUID) -> None:
    export_id, key = await street.requests(person)
    await street.ready(person, export_id)
    at_rest: Path = street.privacy.layout.storage / "privacy" / "exports" / export_id
    content = at_rest.read_bytes()
    path = f"me/exports/{export_id}/archive"
    other = next(c for name, c in stored(street).items() if name != export_id)
    for spoilt in (content[:-1], content + b"x", content[:60], b"", other, content[:200]):
        at_rest.write_bytes(spoilt)
        gone = await street.call(person, "GET", path, expect=503, Export_Key=key)
        assert gone["type"] == SLUG + "unavailable"
    at_rest.unlink()
    await street.call(person, "GET", path, expect=404, Export_Key=key)


async def test_mail_that_nobody_takes_is_tried_again(street: Street) -> None:
    person, email = await street.join()
    street.post.refusing, street.post.refused = True, 0
    try:
        export_id, _ = await street.requests(person)
        await street.privacy.eventually(
            "SELECT mails > 0 FROM export WHERE id = $1", UUID(export_id)
        )
    finally:
        street.post.refusing = False
    await street.privacy.rows(
        "UPDATE export SET tell_at = requested_at WHERE id = $1", UUID(export_id)
    )
    street.ring("export_ready")
    await street.post.wait_for(email)
    await street.privacy.eventually(
        "SELECT tell_at IS NULL FROM export WHERE id = $1", UUID(export_id)
    )
    assert len(street.post.to(email)) == 1
