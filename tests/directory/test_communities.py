"""Communities, who runs them, joining, answering, leaving."""

from uuid import uuid4

from contracts.directory import (
    AnimatorAppointed,
    AnimatorDismissed,
    CommunityOpened,
    MembershipEnded,
    MembershipGranted,
    MembershipRefused,
    MembershipRequested,
)
from tests.directory.town import Town, a_profile, problem


async def test_communities_are_public(town: Town) -> None:
    community = await town.a_community()
    await town.stand.hear(CommunityOpened, community_id=community.id, slug=community.slug)
    client = town.stand.client
    for key in (community.id, community.slug):
        shown = (await client.get(f"/api/directory/communities/{key}")).json()
        assert (shown["slug"], shown["cci"], shown["companies"]) == (
            community.slug,
            community.cci,
            0,
        )
    assert (await client.get("/api/directory/communities/rien-de-tel")).status_code == 404
    for _ in range(3):
        await town.a_community()
    seen, path = [], "/api/directory/communities?limit=2"
    while path:
        page = await client.get(path)
        seen += [one["slug"] for one in page.json()["items"]]
        path = page.links["next"]["url"] if "next" in page.links else ""
    assert community.slug in seen
    assert len(seen) == len(set(seen)) >= 4


async def test_only_an_operator_opens_communities_and_names_agents(town: Town) -> None:
    form = {"slug": f"c-{uuid4().hex[:8]}", "name": "Une", "cci": "cci-une"}
    assert problem(await town.somebody().post("/communities", form)) == (403, "forbidden")
    key = {"Idempotency-Key": uuid4().hex}
    operator = town.operator()
    opened = [await operator.post("/communities", form, headers=key) for _ in range(2)]
    assert {(one.status_code, one.text) for one in opened} == {(201, opened[0].text)}
    assert problem(await operator.post("/communities", form)) == (409, "slug-taken")
    agent = {"person_id": str(uuid4()), "cci": "cci-une"}
    assert problem(await town.somebody().post("/agents", agent)) == (403, "forbidden")


async def test_an_agent_appoints_animators_of_their_own_chamber_only(town: Town) -> None:
    community, other = await town.a_community(), await town.a_community()
    agent = await town.an_agent(community.cci)
    person = town.somebody()
    form = {"person_id": str(person.id)}
    assert (await agent.post(f"/communities/{community.slug}/animators", form)).status_code == 204
    await town.stand.hear(AnimatorAppointed, community_id=community.id, person_id=person.id)
    refused = await agent.post(f"/communities/{other.slug}/animators", form)
    assert problem(refused) == (403, "forbidden")
    shown = (await agent.get(f"/communities/{community.slug}/animators")).json()
    assert [one["id"] for one in shown] == [str(person.id)]
    for who, animator in (agent, False), (person, True):
        managed = (await who.get("/me/managed-communities")).json()
        assert [(one["slug"], one["animator"], one["waiting"]) for one in managed] == [
            (community.slug, animator, 0)
        ]
    assert (await town.somebody().get("/me/managed-communities")).json() == []
    gone = await agent.delete(f"/communities/{community.slug}/animators/{person.id}")
    assert gone.status_code == 204
    await town.stand.hear(AnimatorDismissed, community_id=community.id, person_id=person.id)
    assert (await person.get(f"/communities/{community.slug}/memberships")).status_code == 404


async def test_joining_waits_for_the_animator_who_sees_the_answers(town: Town) -> None:
    community = await town.a_community()
    person = town.somebody()
    await person.put("/me/profile", a_profile(last_name="Martin"))
    company = await town.a_company(person)
    joined = await person.post(
        f"/communities/{community.id}/memberships",
        {"company_id": company, "answers": {"effectif": 12}},
    )
    assert (joined.status_code, joined.json()["state"]) == (201, "pending")
    membership = joined.json()["id"]
    await town.stand.hear(MembershipRequested, membership_id=membership, person_id=person.id)
    animator = await town.an_animator(community)
    [waiting] = (await animator.get(f"/communities/{community.slug}/memberships")).json()["items"]
    assert waiting["person"]["last_name"] == "Martin"
    assert (waiting["company"]["id"], waiting["answers"]) == (company, {"effectif": 12})
    granted = await animator.post(f"/memberships/{membership}/decision", {"grant": True})
    assert granted.json() == {"id": membership, "state": "active"}
    await town.stand.hear(
        MembershipGranted, membership_id=membership, person_id=person.id, company_id=company
    )
    again = await animator.post(f"/memberships/{membership}/decision", {"grant": True})
    answered = (await animator.get(f"/memberships/{membership}")).json()
    assert (answered["state"], answered["decided_by"]) == ("active", str(animator.id))
    assert problem(await town.somebody().get(f"/memberships/{membership}")) == (404, "not-found")
    assert problem(again) == (409, "already-decided")
    [own] = (await person.get("/me/memberships")).json()
    assert (own["state"], own["community"]["slug"]) == ("active", community.slug)
    assert own["decided_as"] == "animator"
    shown = await town.stand.client.get(f"/api/directory/communities/{community.slug}")
    assert shown.json()["companies"] == 1


async def test_a_refusal_says_why_and_does_not_close_the_door(town: Town) -> None:
    community = await town.a_community()
    person = town.somebody()
    company = await town.a_company(person)
    membership = await town.join(person, company, community)
    agent = await town.an_agent(community.cci)
    path = f"/memberships/{membership}/decision"
    assert problem(await agent.post(path, {"grant": False})) == (422, "reason-needed")
    refused = await agent.post(path, {"grant": False, "reason": "Hors de la filière."})
    assert refused.json()["state"] == "refused"
    heard = await town.stand.hear(MembershipRefused, membership_id=membership)
    assert "Hors" not in str(heard)
    [own] = (await person.get("/me/memberships")).json()
    assert (own["state"], own["reason"]) == ("refused", "Hors de la filière.")
    assert own["decided_as"] == "agent"
    assert str(agent.id) not in str(own), "the role, never who it was"
    assert await town.join(person, company, community) != membership


async def test_where_joining_is_open_a_member_is_in_at_once(town: Town) -> None:
    community = await town.a_community(open_joining=True)
    person, company = await town.a_member(community)
    again = await person.post(f"/communities/{community.slug}/memberships", {"company_id": company})
    assert (again.status_code, again.json()["state"]) == (200, "active")
    await town.stand.hear(MembershipGranted, person_id=person.id, community_id=community.id)


async def test_nobody_joins_for_a_company_that_is_not_theirs(town: Town) -> None:
    community = await town.a_community(open_joining=True)
    owner, waiting, stranger = town.somebody(), town.somebody(), town.somebody()
    company = await town.a_company(owner)
    await town.ask(waiting, owner, company)
    for person, theirs in ((waiting, company), (stranger, company), (stranger, str(uuid4()))):
        refused = await person.post(
            f"/communities/{community.slug}/memberships", {"company_id": theirs}
        )
        assert problem(refused) == (403, "not-attached")


async def test_leaving_forgets_the_answers_and_lets_one_come_back(town: Town) -> None:
    community = await town.a_community(open_joining=True)
    person = town.somebody()
    company = await town.a_company(person)
    membership = await town.join(person, company, community, answers={"secret": "oui"})
    other, _ = await town.a_member(community)
    assert (await other.delete(f"/me/memberships/{membership}")).status_code == 404
    assert (await person.delete(f"/me/memberships/{membership}")).status_code == 204
    await town.stand.hear(MembershipEnded, membership_id=membership, person_id=person.id)
    assert (await person.delete(f"/me/memberships/{membership}")).status_code == 404
    [row] = await town.stand.rows("select state, answers from membership where id = $1", membership)
    assert (row["state"], row["answers"]) == ("ended", None)
    assert await town.join(person, company, community) != membership


async def test_a_stranger_learns_nothing_of_a_queue(town: Town) -> None:
    community = await town.a_community()
    person = town.somebody()
    membership = await town.join(person, await town.a_company(person), community)
    other = await town.a_community()
    strangers = [
        town.somebody(),
        town.operator(),
        person,
        await town.an_animator(other),
        await town.an_agent(other.cci),
    ]
    for stranger in strangers:
        shown = await stranger.get(f"/communities/{community.slug}/memberships")
        assert problem(shown) == (404, "not-found")
        decided = await stranger.post(f"/memberships/{membership}/decision", {"grant": True})
        assert problem(decided) == (404, "not-found")


async def test_a_queue_is_read_oldest_first_in_pages(town: Town) -> None:
    community = await town.a_community()
    asked = []
    for _ in range(5):
        person = town.somebody()
        asked.append(await town.join(person, await town.a_company(person), community))
    agent = await town.an_agent(community.cci)
    seen: list[str] = []
    after = None
    while True:
        params = {"limit": 2} | ({"after": after} if after else {})
        page = (await agent.get(f"/communities/{community.slug}/memberships", **params)).json()
        seen += [one["id"] for one in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert seen == asked


async def test_an_agent_of_one_chamber_sees_nothing_of_another(town: Town) -> None:
    ours, theirs = (
        await town.a_community(open_joining=True),
        await town.a_community(open_joining=True),
    )
    marker = f"zz{uuid4().hex[:10]}"
    _, our_company = await town.a_member(ours, name=f"{marker} nous")
    them, their_company = await town.a_member(theirs, name=f"{marker} eux")
    both, shared = await town.a_member(ours, name=f"{marker} deux")
    await town.join(both, shared, theirs)
    agent = await town.an_agent(ours.cci)
    page = (await agent.get("/companies", q=marker)).json()
    assert {one["id"] for one in page["items"]} == {our_company, shared}
    assert page["total"] == 2
    assert [one["value"] for one in page["facets"]["community"]] == [ours.id]
    for one in page["items"]:
        assert [known["slug"] for known in one["communities"]] == [ours.slug]
    assert (await agent.get("/companies", q=marker, community=theirs.slug)).json()["items"] == []
    assert (await agent.get(f"/companies/{their_company}")).status_code == 404
    assert (await agent.get(f"/people/{them.id}")).status_code == 404
    sheet = (await agent.get(f"/companies/{shared}")).json()
    assert [known["slug"] for known in sheet["communities"]] == [ours.slug]
    member, _ = await town.a_member(ours)
    assert len((await member.get("/companies", q=marker)).json()["items"]) == 3
