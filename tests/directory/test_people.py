"""Profiles, photos, and who may see whom."""

import asyncio
import io
import struct
import zlib

import pytest
from PIL import Image

from services.directory.models import Photo
from tests.directory.town import Town, a_profile, problem


async def test_a_profile_is_written_whole_and_read_back(town: Town) -> None:
    person = town.somebody()
    assert problem(await person.get("/me/profile")) == (404, "not-found")
    written = await person.put(
        "/me/profile",
        a_profile(
            job_title="Chaudronnière", phone="06 12 34 56 78", skills=["Soudure", "soudure", "TIG"]
        ),
    )
    assert written.status_code == 200, written.text
    assert written.json()["phone"] == "+33612345678"
    assert written.json()["skills"] == ["Soudure", "TIG"]
    assert (await person.put("/me/profile", a_profile(about=""))).status_code == 200
    again = (await person.get("/me/profile")).json()
    assert (again["job_title"], again["phone"], again["about"], again["skills"]) == (
        None,
        None,
        None,
        [],
    )
    assert (await person.delete("/me/profile")).status_code == 204
    assert (await person.get("/me/profile")).status_code == 404


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("last_name", "", "Trop court"),
        ("last_name", "x" * 101, "Trop long"),
        ("phone", "12", "numéro de téléphone"),
        ("skills", ["x"] * 21, "Trop d'éléments"),
        ("birthday", "1980-01-01", "n'existe pas"),
    ],
)
async def test_a_profile_refuses_what_it_does_not_need(
    town: Town, field: str, value: object, says: str
) -> None:
    refused = await town.somebody().put("/me/profile", a_profile(**{field: value}))
    assert problem(refused) == (422, "invalid-input")
    assert says in str(refused.json()["errors"])


async def test_an_overseas_number_gets_its_own_country_code(town: Town) -> None:
    written = await town.somebody().put("/me/profile", a_profile(phone="0590 81 23 45"))
    assert written.json()["phone"] == "+590590812345"


def a_picture(kind: str = "JPEG", size: tuple[int, int] = (900, 600)) -> bytes:
    exif = Image.Exif()
    exif[0x010E] = "SECRET-DESCRIPTION"
    exif[0x0112] = 6  # lies on its side
    made = io.BytesIO()
    picture = Image.new("RGB", size, "red")
    picture.paste("blue", (0, 0, size[0] // 2, size[1]))
    picture.save(made, kind, exif=exif)
    return made.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_a_photo_is_kept_small_upright_and_without_metadata(town: Town, kind: str) -> None:
    person = town.somebody()
    sent = a_picture(kind)
    assert b"SECRET-DESCRIPTION" in sent
    stored = await person.call("PUT", "/me/photo", content=sent)
    assert stored.status_code == 204, stored.text
    shown = await person.get("/me/photo")
    assert shown.headers["content-type"] == "image/webp"
    assert b"SECRET" not in shown.content
    with Image.open(io.BytesIO(shown.content)) as picture:
        assert (picture.format, picture.size) == ("WEBP", (512, 512))
        assert not picture.getexif()
        top, bottom = (
            picture.convert("RGB").getpixel((256, 40)),
            picture.convert("RGB").getpixel((256, 470)),
        )
    assert top[2] > 200 > top[0], "the blue left side is the top once the picture is upright"
    assert bottom[0] > 200 > bottom[2]


def a_bomb(side: int) -> bytes:
    """A PNG of a few kilobytes that says it is enormous."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100_000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (b"", (415, "not-an-image")),
        (b"<svg onload='alert(1)'/>", (415, "not-an-image")),
        (b"GIF89a" + b"\0" * 50, (415, "not-an-image")),
        (a_picture()[:700], (415, "not-an-image")),
        (a_bomb(8_000), (413, "image-too-large")),
        (a_bomb(60_000), (413, "image-too-large")),
        (b"\xff\xd8\xff" + b"\0" * 5_000_000, (413, "too-large")),
    ],
    ids=["empty", "svg", "gif", "cut", "large", "bomb", "heavy"],
)
async def test_a_photo_that_is_none_is_refused_by_name(
    town: Town, content: bytes, refusal: tuple[int, str]
) -> None:
    person = town.somebody()
    assert problem(await person.call("PUT", "/me/photo", content=content)) == refusal
    assert (await person.get("/me/photo")).status_code == 404


async def test_a_replaced_photo_leaves_no_file_behind(town: Town) -> None:
    person = town.somebody()
    files = town.stand.layout.storage / "directory" / "photos"

    async def keys() -> set[str]:
        rows = await town.stand.rows(
            "select storage_key from photo where person_id = $1", person.id
        )
        return {row[0] for row in rows}

    assert (await person.call("PUT", "/me/photo", content=a_picture())).status_code == 204
    [first] = await keys()
    assert (files.parent / first).exists()
    assert (await person.call("PUT", "/me/photo", content=a_picture("PNG"))).status_code == 204
    await _until(lambda: not (files.parent / first).exists())
    [second] = await keys() - {first}
    assert (await person.delete("/me/photo")).status_code == 204
    assert (await person.get("/me/photo")).status_code == 404
    await _until(lambda: not (files.parent / second).exists())
    await town.stand.eventually("select count(*) = 0 from photo where person_id = $1", person.id)


async def test_a_file_whose_upload_was_cut_off_is_swept(town: Town) -> None:
    from datetime import timedelta

    from chassis import clock, subjects
    from services.directory.actions import people

    person = town.somebody()
    runtime = town.stand.runtime
    async with runtime.db.transaction() as session:
        await subjects.ensure(session, person.id)
        session.add(
            Photo(
                storage_key="photos/half.webp",
                person_id=person.id,
                asked_at=clock.now() - timedelta(minutes=11),
            )
        )
    await runtime.storage.put("photos/half.webp", b"half")
    async with runtime.db.transaction() as session:
        await people.sweep_photos(session, storage=runtime.storage)
    assert await runtime.storage.get("photos/half.webp") is None


async def _until(condition) -> None:  # type: ignore[no-untyped-def]
    for _ in range(250):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("not in time")


async def test_members_of_one_community_see_each_other_and_strangers_do_not(town: Town) -> None:
    community = await town.a_community(open_joining=True)
    one, company = await town.a_member(community)
    other, _ = await town.a_member(community)
    elsewhere, _ = await town.a_member(await town.a_community(open_joining=True))
    assert (await one.call("PUT", "/me/photo", content=a_picture())).status_code == 204
    seen = await other.get(f"/people/{one.id}")
    assert seen.status_code == 200, seen.text
    assert seen.json()["companies"] == [
        {
            "id": company,
            "name": seen.json()["companies"][0]["name"],
            "role": "administrator",
        }
    ]
    assert seen.json()["photo"] is True
    assert (await other.get(f"/people/{one.id}/photo")).status_code == 200
    for stranger in (elsewhere, town.somebody(), town.operator()):
        assert problem(await stranger.get(f"/people/{one.id}")) == (404, "not-found")
        assert problem(await stranger.get(f"/people/{one.id}/photo")) == (404, "not-found")
    memberships = (await other.get("/me/memberships")).json()
    assert (await other.delete(f"/me/memberships/{memberships[0]['id']}")).status_code == 204
    assert (await other.get(f"/people/{one.id}")).status_code == 404


async def test_people_who_run_a_community_see_who_asks_to_join_it(town: Town) -> None:
    community = await town.a_community()
    person, _ = await town.a_member(community)  # pending: joining is not open
    agent, animator = await town.an_agent(community.cci), await town.an_animator(community)
    for reader in (animator, agent):
        assert (await reader.get(f"/people/{person.id}")).json()["last_name"] == "Lefèvre"
    other = await town.a_community()
    for stranger in (await town.an_agent(other.cci), await town.an_animator(other)):
        assert (await stranger.get(f"/people/{person.id}")).status_code == 404


async def test_an_administrator_sees_who_asks_to_be_attached(town: Town) -> None:
    owner, person = town.somebody(), town.somebody()
    company = await town.a_company(owner)
    await person.put("/me/profile", a_profile(first_name="Yves"))
    assert (await owner.get(f"/people/{person.id}")).status_code == 404
    await town.ask(person, owner, company)
    assert (await owner.get(f"/people/{person.id}")).json()["first_name"] == "Yves"
    assert (await person.get(f"/people/{owner.id}")).status_code == 404


async def test_nobody_is_let_in_without_a_token(town: Town) -> None:
    for path in ("/me/profile", "/companies", "/me/memberships", "/me/companies"):
        assert (await town.stand.client.get(f"/api/directory{path}")).status_code == 401
