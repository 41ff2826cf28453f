"""Who may know of a consultation, and how much of it."""

from uuid import uuid4

from sqlalchemy import event

from chassis.auth import Role
from chassis.ids import new_id
from contracts.directory import (
    AnimatorDismissed,
    MembershipEnded,
    MembershipGranted,
    PersonDetached,
)
from tests.consultations.world import URL, Actor, World, problem

BRIEF = {
    "id",
    "company_id",
    "title",
    "kind",
    "state",
    "public",
    "communities",
    "closes_at",
    "published_at",
}


async def sees(actor: Actor, call: str, community: object) -> str:
    """ "full", "brief" or "nothing" - the list and the page must agree."""
    answer = await actor.get(f"/{call}")
    listed = call in await actor.ids(community=str(community))
    if answer.status_code == 404:
        assert problem(answer) == (404, "not-found")
        assert not listed
        return "nothing"
    assert answer.status_code == 200, answer.text
    assert listed
    return "brief" if set(answer.json()) == BRIEF else "full"


async def test_each_person_sees_what_is_theirs_to_see(world: World) -> None:
    community, elsewhere = await world.a_community(), await world.a_community()
    buyer = await world.a_buyer()
    contact = {"name": "Ada Martin", "phone": "02 35 00 00 00"}
    draft = await world.a_draft(buyer, community, public=True)
    private = await world.published(buyer, community, contact=contact)
    public = await world.published(buyer, community, contact=contact, public=True)
    inside = {
        "colleague": await world.somebody(company_id=buyer.company_id),
        "member": await world.a_member(community),
        "animator": await world.an_animator(community),
    }
    outside = {
        "visitor": world.a_visitor(),
        "stranger": world.a_stranger(),
        "agent": world.a_stranger(roles=[Role.AGENT]),
        "dpo": world.a_stranger(roles=[Role.DPO]),
        "operator": world.a_stranger(roles=[Role.OPERATOR]),
        "buyer of another company": await world.a_buyer(),
        "member of another community": await world.a_member(elsewhere),
        "animator of another community": await world.an_animator(elsewhere),
    }
    for name, actor in inside.items():
        assert await sees(actor, private, community) == "full", name
        assert await sees(actor, public, community) == "full", name
        drafts = "full" if name == "colleague" else "nothing"
        assert await sees(actor, draft, community) == drafts, name
    for name, actor in outside.items():
        assert await sees(actor, private, community) == "nothing", name
        assert await sees(actor, public, community) == "brief", name
        assert await sees(actor, draft, community) == "nothing", name
        assert "Ada" not in (await actor.get(f"/{public}")).text
    seen = (await inside["member"].get(f"/{private}")).json()
    assert seen["contact"] == {**contact, "email": None}
    assert (seen["mine"], seen["replies"]) == (False, None)


async def test_a_member_keeps_seeing_what_was_closed_or_cancelled(world: World) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    member = await world.a_member(community)
    for verb in ("closure", "cancellation"):
        call = await world.published(buyer, community)
        await buyer.post(f"/{call}/{verb}")
        assert await sees(member, call, community) == "full"


async def test_access_ends_with_the_membership_the_attachment_or_the_office(world: World) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    call = await world.published(buyer, community)
    left, detached = await world.a_member(community), await world.a_member(community)
    animator = await world.an_animator(community)
    await world.stand.say(
        MembershipEnded(
            membership_id=left.memberships[0],
            person_id=left.id,
            company_id=left.company_id,
            community_id=community,
        )
    )
    await world.stand.say(PersonDetached(company_id=detached.company_id, person_id=detached.id))
    await world.stand.say(AnimatorDismissed(community_id=community, person_id=animator.id))
    for table, actor in (("membership", left), ("attachment", detached), ("animator", animator)):
        await world.stand.eventually(
            f"select not exists (select from {table} where person_id = $1)", actor.id
        )
        assert await sees(actor, call, community) == "nothing", table


async def test_a_membership_of_one_company_gives_nothing_to_another(world: World) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    call = await world.published(buyer, community)
    somebody = await world.somebody()
    membership = new_id()
    await world.stand.say(
        MembershipGranted(
            membership_id=membership,
            person_id=somebody.id,
            company_id=new_id(),
            community_id=community,
        )
    )
    await world.stand.eventually("select true from membership where id = $1", membership)
    assert await sees(somebody, call, community) == "nothing"


async def test_the_list_is_filtered_and_paged_without_gap_or_double(world: World) -> None:
    community, other = await world.a_community(), await world.a_community()
    buyer = await world.a_buyer()
    made = [await world.published(buyer, community) for _ in range(5)]
    elsewhere = await world.published(buyer, other)
    draft = await world.a_draft(buyer, community)
    await buyer.post(f"/{made[0]}/closure")
    member = await world.a_member(community)
    assert await member.ids(community=str(community), limit=2) == made[::-1]
    assert await member.ids(state="closed") == [made[0]]
    assert await member.ids(mine=True) == []
    assert await buyer.ids(mine=True, limit=3) == [draft, elsewhere, *made[::-1]]
    assert await buyer.ids(mine=True, state="draft") == [draft]
    assert await world.a_visitor().ids(mine=True) == []
    assert await member.ids(community=str(uuid4())) == []
    page = await member.get(community=str(community), limit=2)
    assert 'rel="next"' in page.headers["Link"]
    following = page.headers["Link"].split(">")[0].removeprefix("<")
    second = await world.stand.client.get(following, headers=member.headers)
    assert [item["id"] for item in second.json()["items"]] == made[::-1][2:4]


async def test_a_wrong_cursor_filter_or_limit_is_refused(world: World) -> None:
    visitor = world.a_visitor()
    for params in ({"after": "zzz"}, {"state": "lost"}, {"limit": 101}, {"community": "here"}):
        assert problem(await visitor.get(**params)) == (422, "invalid-input")


async def test_a_list_costs_at_most_three_statements(world: World) -> None:
    community, buyer = await world.a_community(), await world.a_buyer()
    for _ in range(3):
        await world.published(buyer, community)
    member = await world.a_member(community)
    statements: list[str] = []

    def note(*arguments: object) -> None:
        if "consultation" in str(arguments[2]) or "data_subject" in str(arguments[2]):
            statements.append(str(arguments[2]))

    engine = world.stand.runtime.db.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        assert len((await member.get(limit=3)).json()["items"]) == 3
    finally:
        event.remove(engine, "before_cursor_execute", note)
    own = [s for s in statements if "FOR UPDATE SKIP LOCKED" not in s]
    assert len(own) <= 3, own


async def test_a_token_for_another_service_or_that_is_expired_opens_nothing(world: World) -> None:
    for headers in (
        world.stand.token(new_id(), audiences=["directory"]),
        world.stand.token(new_id(), shift=-3600),
        {"Authorization": "Bearer nothing"},
    ):
        answer = await world.stand.client.get(URL, headers=headers)
        assert problem(answer) == (401, "not-authenticated")
