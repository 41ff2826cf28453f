"""Companies reply under seal; the buyer reads after the closing."""

import asyncio
import hashlib
from datetime import timedelta
from uuid import UUID, uuid4

import httpx2

from chassis import clock
from chassis.ids import new_id
from contracts.consultations import ReplySubmitted, ReplyWithdrawn
from contracts.directory import AttachmentRole, MembershipEnded, PersonDetached
from tests.consultations.world import Actor, World, problem


async def readable(actor: Actor, call: str) -> list[str]:
    answer = await actor.get(f"/{call}/replies")
    assert answer.status_code == 200, answer.text
    return [item["message"] for item in answer.json()["items"]]


async def test_a_reply_is_submitted_with_a_receipt_that_proves_it(world: World) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    call = await world.published(buyer, community)
    member = await world.a_member(community)
    token = uuid4().hex
    message = f"Nous révisons des vannes ({token}).\nDélai : 3 semaines."
    answer = await member.reply(call, message=message, contact={"email": "offre@e.example"})
    assert answer.status_code == 201, answer.text
    reply = answer.json()
    receipt = reply["receipt"]
    assert receipt["sha256"] == hashlib.sha256(message.encode()).hexdigest()
    assert receipt["number"].startswith(f"{clock.now():%Y%m%d}-")
    assert receipt["submitted_at"]
    assert reply["contact"]["email"] == "offre@e.example"
    told = await world.stand.hear(ReplySubmitted, reply_id=reply["id"])
    assert told == {
        "reply_id": reply["id"],
        "consultation_id": call,
        "company_id": str(member.company_id),
        "person_id": str(member.id),
    }
    assert token not in str(world.stand.heard)


async def test_replies_are_sealed_until_the_closing(world: World) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    colleague = await world.somebody(company_id=buyer.company_id)
    call = await world.published(buyer, community)
    one, two, three = [await world.a_member(community) for _ in range(3)]
    for actor, message in ((one, "un"), (two, "deux"), (three, "trois")):
        assert (await actor.reply(call, message=message)).status_code == 201
    taken = (await three.get(f"/{call}/replies")).json()["items"][0]["id"]
    assert (await three.delete(f"/{call}/replies/{taken}")).status_code == 204
    their_colleague = await world.somebody(company_id=one.company_id)
    animator, bystander = await world.an_animator(community), await world.a_member(community)

    assert await readable(buyer, call) == []
    assert (await buyer.get(f"/{call}")).json()["replies"] == 2
    assert await readable(one, call) == ["un"]
    assert await readable(their_colleague, call) == ["un"]
    await buyer.post(f"/{call}/closure")
    assert await readable(buyer, call) == ["deux", "un"]
    assert await readable(colleague, call) == ["deux", "un"]
    assert await readable(two, call) == ["deux"]
    assert await readable(animator, call) == []
    assert await readable(bystander, call) == []
    assert problem(await world.a_stranger().get(f"/{call}/replies")) == (404, "not-found")
    assert problem(await world.a_visitor().get(f"/{call}/replies")) == (401, "not-authenticated")
    page = await buyer.get(f"/{call}/replies", limit=1)
    assert page.json()["next"]
    rest = await buyer.get(f"/{call}/replies", limit=1, after=page.json()["next"])
    assert [item["message"] for item in rest.json()["items"]] == ["un"]


async def test_replies_to_a_cancelled_consultation_stay_sealed(world: World) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    call = await world.published(buyer, community)
    member = await world.a_member(community)
    await member.reply(call)
    await buyer.post(f"/{call}/cancellation")
    assert await readable(buyer, call) == []
    assert len(await readable(member, call)) == 1


async def test_a_company_has_one_live_reply(world: World) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    call = await world.published(buyer, community)
    member = await world.a_member(community)
    colleague = await world.a_member(
        community, company_id=member.company_id, role=AttachmentRole.COLLEAGUE
    )
    answers = await asyncio.gather(*(actor.reply(call) for actor in (member, colleague) * 3))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5
    assert problem(await member.reply(call)) == (409, "already-replied")
    reply = (await member.get(f"/{call}/replies")).json()["items"][0]
    author = member if reply["author_id"] == str(member.id) else colleague
    assert (await author.delete(f"/{call}/replies/{reply['id']}")).status_code == 204
    told = await world.stand.hear(ReplyWithdrawn, reply_id=reply["id"])
    assert set(told) == {"reply_id", "consultation_id", "company_id"}
    assert (await colleague.reply(call)).status_code == 201


async def test_people_find_what_they_and_their_companies_replied_wherever_it_was(
    world: World,
) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    member = await world.a_member(community)
    colleague = await world.somebody(company_id=member.company_id)
    calls = [await world.published(buyer, community) for _ in range(3)]
    for call in calls:
        assert (await member.reply(call)).status_code == 201
    await buyer.post(f"/{calls[0]}/closure")

    async def own(actor: Actor, **page: object) -> httpx2.Response:
        url = "/api/consultations/me/replies"
        return await world.stand.client.get(url, headers=actor.headers, params=page)

    for actor in (member, colleague):
        found = (await own(actor)).json()["items"]
        assert [one["consultation"]["id"] for one in found] == calls[::-1]
        assert [one["consultation"]["state"] for one in found] == ["published"] * 2 + ["closed"]
        assert found[0]["receipt"]["number"]
    assert (await own(buyer)).json() == {"items": [], "next": None}
    first = (await own(member, limit=2)).json()
    rest = (await own(member, limit=2, after=first["next"])).json()
    assert [one["consultation"]["id"] for one in rest["items"]] == calls[:1]


async def test_a_repeated_reply_is_sent_once(world: World) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    call = await world.published(buyer, community)
    member = await world.a_member(community)
    body = {"company_id": str(member.company_id), "message": "Oui."}
    key = uuid4().hex
    first, second = [await member.post(f"/{call}/replies", json=body, key=key) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    other = await member.post(f"/{call}/replies", json={**body, "message": "Non."}, key=key)
    assert problem(other) == (422, "idempotency-key-reused")


async def test_only_members_reply_for_companies_that_they_act_for(world: World) -> None:
    community, elsewhere = await world.a_community(), await world.a_community()
    buyer = await world.a_buyer()
    call = await world.published(buyer, community)
    public = await world.published(buyer, community, public=True)
    assert problem(await world.a_visitor().reply(call)) == (401, "not-authenticated")
    for outsider in (world.a_stranger(), await world.a_member(elsewhere)):
        assert problem(await outsider.reply(call)) == (404, "not-found")
    assert problem(await world.a_stranger().reply(public)) == (403, "not-attached")
    assert problem(await (await world.a_member(elsewhere)).reply(public)) == (403, "not-a-member")
    animator = await world.an_animator(community)
    assert problem(await animator.reply(call)) == (403, "not-attached")
    member = await world.a_member(community)
    assert problem(await member.reply(call, company_id=str(new_id()))) == (403, "not-attached")
    second = new_id()
    await world.attach(member, second)
    assert problem(await member.reply(call, company_id=str(second))) == (403, "not-a-member")
    assert problem(await buyer.reply(call)) == (409, "own-consultation")
    assert (
        await world.stand.rows("select count(*) from reply where consultation_id = $1", UUID(call))
    )[0][0] == 0


async def test_nobody_replies_to_what_is_not_open(world: World) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    member = await world.a_member(community)
    draft = await world.a_draft(buyer, community)
    assert problem(await member.reply(draft)) == (404, "not-found")
    for verb in ("closure", "cancellation"):
        call = await world.published(buyer, community)
        await buyer.post(f"/{call}/{verb}")
        assert problem(await member.reply(call)) == (409, "consultation-not-open")
    soon = (clock.now() + timedelta(days=1)).isoformat()
    late = await world.published(buyer, community, closes_at=soon)
    clock.shift(timedelta(days=1))
    try:
        fresh = {**member.headers, **world.stand.token(member.id)}
        answer = await world.stand.client.post(
            f"/api/consultations/consultations/{late}/replies",
            headers=fresh,
            json={"company_id": str(member.company_id), "message": "Trop tard."},
        )
        assert problem(answer) == (409, "consultation-not-open")
    finally:
        clock.shift(timedelta(0))


async def test_a_reply_is_taken_back_by_its_author_or_an_administrator_while_open(
    world: World,
) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    call = await world.published(buyer, community)
    author = await world.a_member(community, role=AttachmentRole.COLLEAGUE)
    colleague = await world.somebody(company_id=author.company_id, role=AttachmentRole.COLLEAGUE)
    boss = await world.somebody(company_id=author.company_id)
    reply = (await author.reply(call, message="Notre secret")).json()["id"]
    path = f"/{call}/replies/{reply}"
    assert problem(await colleague.delete(path)) == (403, "not-the-author")
    for outsider in (buyer, world.a_stranger(), await world.a_member(community)):
        assert problem(await outsider.delete(path)) == (404, "not-found")
    other = await world.published(buyer, community)
    assert problem(await author.delete(f"/{other}/replies/{reply}")) == (404, "not-found")
    assert (await boss.delete(path)).status_code == 204
    assert problem(await author.delete(path)) == (409, "already-withdrawn")
    shown = (await author.get(f"/{call}/replies")).json()["items"][0]
    assert (shown["state"], shown["message"], shown["receipt"]["sha256"]) == (
        "withdrawn",
        None,
        None,
    )
    again = (await author.reply(call)).json()["id"]
    await buyer.post(f"/{call}/closure")
    closed = await author.delete(f"/{call}/replies/{again}")
    assert problem(closed) == (409, "consultation-not-open")


async def test_who_left_the_community_still_finds_and_takes_back_the_own_reply(
    world: World,
) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    call = await world.published(buyer, community)
    member = await world.a_member(community)
    reply = (await member.reply(call)).json()["id"]
    await world.stand.say(
        MembershipEnded(
            membership_id=member.memberships[0],
            person_id=member.id,
            company_id=member.company_id,
            community_id=community,
        )
    )
    await world.stand.eventually(
        "select not exists (select from membership where person_id = $1)", member.id
    )
    assert problem(await member.get(f"/{call}")) == (404, "not-found")
    assert len(await readable(member, call)) == 1
    assert (await member.delete(f"/{call}/replies/{reply}")).status_code == 204


async def test_who_left_the_company_no_longer_speaks_for_it(world: World) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    call = await world.published(buyer, community)
    member = await world.a_member(community)
    reply = (await member.reply(call)).json()["id"]
    await world.stand.say(PersonDetached(company_id=member.company_id, person_id=member.id))
    await world.stand.eventually(
        "select not exists (select from attachment where person_id = $1)", member.id
    )
    assert problem(await member.delete(f"/{call}/replies/{reply}")) == (403, "not-attached")
