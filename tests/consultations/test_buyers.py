"""Buyers write, publish, close and cancel consultations of their companies."""

from datetime import timedelta
from uuid import uuid4

import pytest

from chassis import clock
from chassis.auth import Role
from chassis.ids import new_id
from contracts.consultations import (
    ConsultationCancelled,
    ConsultationClosed,
    ConsultationPublished,
)
from contracts.directory import AttachmentRole
from tests.consultations.world import URL, World, problem, words


async def test_a_buyer_writes_a_draft_and_publishes_it_to_communities(world: World) -> None:
    one, two = await world.a_community(), await world.a_community()
    buyer = await world.a_buyer()
    contact = {
        "name": "Ada Martin",
        "email": "Ada@Entreprise.Example",
        "phone": "+33 2 35 00 00 00",
    }
    created = await buyer.post(json=words(one, two, contact=contact))
    assert created.status_code == 201, created.text
    draft = created.json()
    assert created.headers["Location"] == f"{URL}/{draft['id']}"
    assert (draft["state"], draft["company_id"]) == ("draft", str(buyer.company_id))
    assert {c["id"] for c in draft["communities"]} == {str(one), str(two)}
    assert draft["communities"][0]["cci"] == "cci-de-demo"
    assert draft["contact"] == {**contact, "email": "ada@entreprise.example"}
    assert (draft["author_id"], draft["mine"], draft["replies"]) == (str(buyer.id), True, 0)

    published = await buyer.post(f"/{draft['id']}/publication")
    assert (published.status_code, published.json()["state"]) == (200, "published")
    told = await world.stand.hear(ConsultationPublished, consultation_id=draft["id"])
    assert set(told["community_ids"]) == {str(one), str(two)}
    assert told["company_id"] == str(buyer.company_id)
    assert "Ada" not in str(world.stand.heard)
    assert draft["title"] not in str(world.stand.heard)


async def test_only_buyers_attached_to_a_company_create(world: World) -> None:
    community = await world.a_community()
    body = words(community)
    assert problem(await world.a_visitor().post(json=body)) == (401, "not-authenticated")
    member = await world.a_member(community)
    assert problem(await member.post(json=body)) == (403, "forbidden")
    for roles in ([Role.AGENT], [Role.DPO], [Role.OPERATOR]):
        stranger = world.a_stranger(roles=roles)
        assert problem(await stranger.post(json=body)) == (403, "forbidden")
    unattached = world.a_stranger(roles=[Role.BUYER])
    assert problem(await unattached.post(json=body)) == (403, "not-attached")
    client = {"Authorization": world.stand.token(scopes=["anything"])["Authorization"]}
    answer = await world.stand.client.post(URL, json=body, headers=client)
    assert problem(answer) == (403, "forbidden")


async def test_a_colleague_who_is_a_buyer_creates_too(world: World) -> None:
    community = await world.a_community()
    colleague = await world.a_buyer(role=AttachmentRole.COLLEAGUE)
    assert (await colleague.post(json=words(community))).status_code == 201


async def test_with_several_companies_the_buyer_says_which(world: World) -> None:
    community, other = await world.a_community(), new_id()
    buyer = await world.a_buyer()
    await world.attach(buyer, other)
    assert problem(await buyer.post(json=words(community))) == (422, "company-needed")
    made = await buyer.post(json=words(community, company_id=str(other)))
    assert made.json()["company_id"] == str(other)
    foreign = await buyer.post(json=words(community, company_id=str(uuid4())))
    assert problem(foreign) == (403, "not-attached")


async def test_a_draft_is_changed_by_its_company_and_thrown_away(world: World) -> None:
    one, two = await world.a_community(), await world.a_community()
    buyer = await world.a_buyer()
    colleague = await world.a_buyer(company_id=buyer.company_id)
    call = await world.a_draft(buyer, one, contact={"name": "Ada Martin"})
    changed = await colleague.patch(
        f"/{call}", json={"title": "Un autre titre", "communities": [str(two)], "public": True}
    )
    assert changed.status_code == 200, changed.text
    assert changed.json()["title"] == "Un autre titre"
    assert changed.json()["description"] == "Démontage, expertise et essais en banc."
    assert [c["id"] for c in changed.json()["communities"]] == [str(two)]
    assert changed.json()["author_id"] == str(buyer.id)
    taken = (await colleague.patch(f"/{call}", json={"contact": {"name": "Bo Durand"}})).json()
    assert (taken["author_id"], taken["contact"]["name"]) == (str(colleague.id), "Bo Durand")
    assert (await buyer.patch(f"/{call}", json={"contact": None})).json()["contact"] is None
    assert (await buyer.delete(f"/{call}")).status_code == 204
    assert problem(await buyer.get(f"/{call}")) == (404, "not-found")


async def test_words_are_final_once_published(world: World) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    call = await world.published(buyer, community)
    assert problem(await buyer.patch(f"/{call}", json={"title": "Autre"})) == (409, "not-a-draft")
    assert problem(await buyer.delete(f"/{call}")) == (409, "not-a-draft")
    assert problem(await buyer.post(f"/{call}/publication")) == (409, "not-a-draft")


@pytest.mark.parametrize(
    ("verb", "state", "event"),
    [
        ("closure", "closed", ConsultationClosed),
        ("cancellation", "cancelled", ConsultationCancelled),
    ],
)
async def test_a_buyer_ends_a_consultation_once(
    world: World, verb: str, state: str, event: type[ConsultationClosed]
) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    call = await world.a_draft(buyer, community)
    assert problem(await buyer.post(f"/{call}/{verb}")) == (409, "consultation-not-open")
    await buyer.post(f"/{call}/publication")
    ended = await buyer.post(f"/{call}/{verb}")
    assert (ended.status_code, ended.json()["state"]) == (200, state)
    assert ended.json()["ended_at"] is not None
    await world.stand.hear(event, consultation_id=call)
    assert problem(await buyer.post(f"/{call}/{verb}")) == (409, "consultation-not-open")


async def test_a_consultation_of_the_past_is_not_published(world: World) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    past = (clock.now() - timedelta(hours=1)).isoformat()
    call = await world.a_draft(buyer, community, closes_at=past)
    assert problem(await buyer.post(f"/{call}/publication")) == (422, "wrong-closing-time")


async def test_communities_must_exist(world: World) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    unknown = await buyer.post(json=words(community, uuid4()))
    assert problem(unknown) == (422, "unknown-community")
    call = await world.a_draft(buyer, community)
    changed = await buyer.patch(f"/{call}", json={"communities": [str(uuid4())]})
    assert problem(changed) == (422, "unknown-community")
    kept = (await buyer.get(f"/{call}")).json()["communities"]
    assert [c["id"] for c in kept] == [str(community)]
    twice = await buyer.post(json=words(community, community))
    assert twice.status_code == 201


async def test_nobody_else_manages_a_consultation(world: World) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    draft = await world.a_draft(buyer, community)
    public = await world.published(buyer, community, public=True)
    outsiders = [
        await world.a_buyer(),
        world.a_stranger(roles=[Role.BUYER]),
        await world.a_member(community, roles=[Role.BUYER]),
    ]
    plain_colleague = await world.somebody(company_id=buyer.company_id)
    for verb in ("publication", "closure", "cancellation"):
        for outsider in outsiders:
            assert problem(await outsider.post(f"/{draft}/{verb}")) == (404, "not-found")
            assert problem(await outsider.post(f"/{public}/{verb}")) == (403, "not-attached")
        assert problem(await plain_colleague.post(f"/{public}/{verb}")) == (403, "forbidden")
    for outsider in outsiders:
        change = {"title": "Détourné"}
        assert problem(await outsider.patch(f"/{draft}", json=change)) == (404, "not-found")
        assert problem(await outsider.delete(f"/{draft}")) == (404, "not-found")
        assert problem(await outsider.delete(f"/{public}")) == (403, "not-attached")
    assert (await buyer.get(f"/{public}")).json()["state"] == "published"


async def test_a_repeated_creation_creates_once(world: World) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    body, key = words(community), uuid4().hex
    first = await buyer.post(json=body, key=key)
    second = await buyer.post(json=body, key=key)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert len(await buyer.ids(mine=True)) == 1
    other = await buyer.post(json={**body, "title": "Autre chose"}, key=key)
    assert problem(other) == (422, "idempotency-key-reused")
    another = await world.a_buyer()
    assert (await another.post(json=body, key=key)).status_code == 201


async def test_a_link_needs_an_address_and_takes_no_reply(world: World) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    assert problem(await buyer.post(json=words(community, kind="public_link"))) == (
        422,
        "link-mismatch",
    )
    link = "https://achats.example/consultation/12"
    call = await world.published(buyer, community, kind="public_link", external_url=link)
    member = await world.a_member(community)
    assert (await member.get(f"/{call}")).json()["external_url"] == link
    assert problem(await member.reply(call)) == (409, "replies-elsewhere")
