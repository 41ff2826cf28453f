"""What directory tells takes effect once, in whatever order it comes."""

import asyncio
from uuid import UUID

from chassis.ids import new_id
from contracts.consultations import ConsultationCancelled, ReplyWithdrawn
from contracts.directory import (
    AnimatorAppointed,
    AttachmentRole,
    CommunityOpened,
    CompanyUnlisted,
    MembershipEnded,
    MembershipGranted,
    PersonAttached,
    PersonDetached,
)
from tests.consultations.world import World, problem, words


async def test_a_membership_may_come_before_its_community_and_its_attachment(world: World) -> None:
    stand, member = world.stand, world.a_stranger()
    community = new_id()
    await stand.say(
        MembershipGranted(
            membership_id=new_id(),
            person_id=member.id,
            company_id=member.company_id,
            community_id=community,
        )
    )
    await stand.eventually("select true from membership where community_id = $1", community)
    await stand.say(CommunityOpened(community_id=community, slug=f"c-{community}", cci="cci-x"))
    await stand.eventually("select true from community where id = $1", community)
    buyer = await world.a_buyer()
    call = await world.published(buyer, community)
    assert problem(await member.get(f"/{call}")) == (404, "not-found")
    await world.attach(member, member.company_id)
    assert (await member.get(f"/{call}")).status_code == 200
    assert (await member.reply(call)).status_code == 201


async def test_an_animator_may_be_appointed_before_the_community_is_known(world: World) -> None:
    stand, animator = world.stand, world.a_stranger()
    community = new_id()
    await stand.say(AnimatorAppointed(community_id=community, person_id=animator.id))
    await stand.eventually("select true from animator where community_id = $1", community)
    await stand.say(CommunityOpened(community_id=community, slug=f"c-{community}", cci="cci-x"))
    await stand.eventually("select true from community where id = $1", community)
    call = await world.published(await world.a_buyer(), community)
    assert (await animator.get(f"/{call}")).status_code == 200


async def test_facts_told_twice_change_nothing(world: World) -> None:
    """The same message again, and the same fact in another message."""
    stand = world.stand
    community = await world.a_community()
    member = await world.a_member(community)
    granted = MembershipGranted(
        membership_id=member.memberships[0],
        person_id=member.id,
        company_id=member.company_id,
        community_id=community,
    )
    facts = [
        granted,
        CommunityOpened(community_id=community, slug="une-communaute", cci="cci-y"),
        AnimatorAppointed(community_id=community, person_id=member.id),
        PersonAttached(
            company_id=member.company_id, person_id=member.id, role=AttachmentRole.COLLEAGUE
        ),
    ]
    for fact in facts:
        same = new_id()
        for event_id in (same, same, new_id()):
            await stand.say(fact, event_id=event_id)
        await stand.eventually("select true from inbox where event_id = $1", event_id)
    assert not await stand.rows("select from inbox where state in ('waiting', 'dead', 'parked')")
    for table, count in (("membership", 1), ("attachment", 1), ("animator", 1)):
        found = await stand.rows(f"select * from {table} where person_id = $1", member.id)
        assert len(found) == count, table
    role = await stand.rows("select role from attachment where person_id = $1", member.id)
    assert role[0]["role"] == "colleague"
    ended = MembershipEnded(**granted.model_dump())
    detached = PersonDetached(company_id=member.company_id, person_id=member.id)
    for fact in (ended, ended, detached, detached):
        last = await stand.say(fact)
    await stand.eventually("select true from inbox where event_id = $1", last)
    for table in ("membership", "attachment"):
        assert not await stand.rows(f"select from {table} where person_id = $1", member.id)


async def test_a_company_that_leaves_takes_its_open_business_with_it(world: World) -> None:
    community = await world.a_community()
    leaving, staying = await world.a_buyer(), await world.a_buyer()
    draft = await world.a_draft(leaving, community)
    open_one = await world.published(leaving, community)
    closed = await world.published(leaving, community)
    await leaving.post(f"/{closed}/closure")
    open_other = await world.published(staying, community)
    closed_other = await world.published(staying, community)
    member = await world.a_member(community, company_id=leaving.company_id)
    other = await world.a_member(community)
    replies = {
        call: (await member.reply(call, message="Notre offre")).json()["id"]
        for call in (open_other, closed_other)
    }
    await other.reply(open_other, message="La nôtre")
    await staying.post(f"/{closed_other}/closure")

    for _ in range(2):
        last = await world.stand.say(CompanyUnlisted(company_id=leaving.company_id))
    await world.stand.hear(ConsultationCancelled, consultation_id=open_one)
    withdrawn = await world.stand.hear(ReplyWithdrawn, reply_id=replies[open_other])
    assert withdrawn["company_id"] == str(leaving.company_id)
    await world.stand.eventually("select true from inbox where event_id = $1", last)
    assert world.stand.heard_count(ConsultationCancelled, consultation_id=open_one) == 1
    states = {
        str(row["id"]): row["state"]
        for row in await world.stand.rows("select id, state from consultation")
    }
    assert draft not in states
    assert [states[call] for call in (open_one, closed, open_other, closed_other)] == [
        "cancelled",
        "closed",
        "published",
        "closed",
    ]
    # No id of the company is left, and it is told as what it is: gone.
    for table in ("consultation", "reply", "attachment"):
        named = f"select from {table} where company_id = $1"
        assert not await world.stand.rows(named, leaving.company_id), table
    answer = await other.get(f"/{closed}")
    assert answer.status_code == 200, answer.text
    seen = answer.json()
    assert (seen["state"], seen["company_id"]) == ("closed", None)
    kept = await world.stand.rows("select message from reply where state = 'withdrawn'")
    assert all(row["message"] is None for row in kept)
    assert [
        item["message"] for item in (await staying.get(f"/{closed_other}/replies")).json()["items"]
    ] == ["Notre offre"]
    await staying.post(f"/{open_other}/closure")
    assert [
        item["message"] for item in (await staying.get(f"/{open_other}/replies")).json()["items"]
    ] == ["La nôtre"]
    assert problem(await leaving.post(json=words(community))) == (403, "not-attached")
    assert problem(await member.get(f"/{open_other}")) == (404, "not-found")


async def test_an_accepted_reply_is_among_those_that_the_closing_opens(world: World) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    members = [await world.a_member(community) for _ in range(4)]
    call = await world.published(buyer, community)
    *answers, closing = await asyncio.gather(
        *(member.reply(call, message=str(member.id)) for member in members),
        buyer.post(f"/{call}/closure"),
    )
    assert closing.status_code == 200
    assert {answer.status_code for answer in answers} <= {201, 409}
    accepted = {
        str(member.id)
        for member, answer in zip(members, answers, strict=True)
        if answer.status_code == 201
    }
    opened = (await buyer.get(f"/{call}/replies")).json()["items"]
    assert {item["message"] for item in opened} == accepted
    assert all(UUID(item["id"]) for item in opened)
