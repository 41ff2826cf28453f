"""What a hostile or clumsy caller sends is refused, or stays text."""

from typing import Any
from uuid import uuid4

import pytest

from tests.consultations.world import URL, World, problem, words


async def test_html_stays_text(world: World) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    member = await world.a_member(community)
    evil = "<script>alert(1)</script> & «\u202fça\u202f» 🙂 '; drop table reply; --"
    call = await world.published(buyer, community, title=evil, description=evil)
    shown = (await member.get(f"/{call}")).json()
    assert (shown["title"], shown["description"]) == (evil, evil)
    reply = await member.reply(call, message=evil)
    assert reply.json()["message"] == evil
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": "Un\x00titre"},
        {"title": "  "},
        {"title": "x" * 161},
        {"title": 12},
        {"title": None},
        {"description": "x" * 20_001},
        {"kind": "appel_d_offres"},
        {"communities": []},
        {"communities": [str(uuid4())] * 21},
        {"communities": ["partout"]},
        {"closes_at": "2027-01-01T10:00:00"},
        {"closes_at": "9999-12-31T23:59:59-14:00"},
        {"closes_at": "0001-01-01T00:00:00+14:00"},
        {"closes_at": "demain"},
        {"kind": "public_link", "external_url": "javascript:alert(1)"},
        {"kind": "public_link", "external_url": "data:text/html,x"},
        {"kind": "public_link", "external_url": "https://a.example/" + "x" * 500},
        {"kind": "public_link", "external_url": "https://a.example/" + "é" * 200},
        {"contact": {"email": "pas une adresse"}},
        {"contact": {"phone": "appelez-moi"}},
        {"contact": {"name": "x" * 121}},
        {"contact": {"siren": "123"}},
        {"company_id": "la mienne"},
        {"state": "published"},
        {"author_id": str(uuid4())},
        {"public": "peut-être"},
    ],
    ids=lambda wrong: next(iter(wrong.items()))[0],
)
async def test_wrong_content_is_refused_with_the_field(world: World, wrong: dict[str, Any]) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    answer = await buyer.post(json=words(community, **wrong))
    assert problem(answer) == (422, "invalid-input")
    assert await buyer.ids(mine=True) == []


async def test_a_draft_cannot_be_changed_into_something_else(world: World) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    call = await world.a_draft(buyer, community)
    for wrong in ({"state": "published"}, {"company_id": str(uuid4())}, {"id": str(uuid4())}):
        assert problem(await buyer.patch(f"/{call}", json=wrong)) == (422, "invalid-input")
    same = await buyer.patch(f"/{call}", json={"title": None, "closes_at": None})
    assert same.json()["title"] == words(community)["title"]


async def test_wrong_replies_are_refused(world: World) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    call = await world.published(buyer, community)
    member = await world.a_member(community)
    for wrong in (
        {"message": "a\x00b"},
        {"message": ""},
        {"message": "x" * 10_001},
        {"person_id": str(uuid4())},
        {"submitted_at": "2020-01-01T00:00:00Z"},
    ):
        assert problem(await member.reply(call, **wrong)) == (422, "invalid-input")


@pytest.mark.parametrize(
    "body",
    [b"{", b"", b"\xff\xfe", b"[" * 100_000, b'{"title": "\\ud800"}', b"null", b"[]"],
    ids=["cut", "empty", "not utf-8", "deep", "surrogate", "null", "list"],
)
async def test_what_cannot_be_read_is_refused(world: World, body: bytes) -> None:
    buyer = await world.a_buyer()
    answer = await world.stand.client.post(
        URL, content=body, headers={**buyer.headers, "Content-Type": "application/json"}
    )
    assert problem(answer)[0] in (400, 422)


async def test_ten_megabytes_are_refused(world: World) -> None:
    buyer = await world.a_buyer()
    body = b'{"title": "' + b"x" * 10_000_000 + b'"}'
    headers = {**buyer.headers, "Content-Type": "application/json"}
    answer = await world.stand.client.post(URL, content=body, headers=headers)
    assert problem(answer) == (413, "too-large")


async def test_paths_that_lead_nowhere(world: World) -> None:
    buyer = await world.a_buyer()
    assert problem(await buyer.get("/../../etc/passwd"))[0] == 404
    assert problem(await buyer.get("/not-an-id")) == (422, "invalid-input")
    assert problem(await buyer.get(f"/{uuid4()}")) == (404, "not-found")
    assert problem(await buyer.post(f"/{uuid4()}/publication")) == (404, "not-found")
    assert problem(await buyer.delete(f"/{uuid4()}/replies/{uuid4()}")) == (404, "not-found")
    answer = await world.stand.client.put(URL, headers=buyer.headers)
    assert problem(answer) == (405, "method-not-allowed")
