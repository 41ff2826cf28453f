"""Newsletters come with membership, and end with one click (N4.2, N7.1, RFC 8058)."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from chassis.ids import new_id
from contracts.directory import MembershipGranted
from contracts.notifications import Subscribed, Unsubscribed
from tests.notifications.world import Community, Person, World, text_of, unsubscribe_link


async def test_a_new_member_is_welcomed_and_subscribed(world: World) -> None:
    community = await world.a_community()
    person = await world.a_member(community)
    mail = await world.mailbox.wait_for(person.email)
    assert mail["Subject"].startswith("Vous êtes membre de la communauté")
    text = text_of(mail)
    assert f"http://platform.example/communautes/{community.slug}\n" in text
    assert "http://platform.example/desabonnement?token=" in text
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    # One line, as it is: mail programs do not decode an encoded address.
    assert unsubscribe_link(mail).rpartition("/")[2] in text
    assert mail["Auto-Submitted"] == "auto-generated"
    await world.stand.hear(Subscribed, person_id=person.id, community_id=community.id)
    assert await world.subscribed(person, community)
    (notice,) = await world.inbox(person)
    assert notice["path"] == f"/communautes/{community.slug}"
    assert notice["title"].startswith("Vous êtes membre")


@pytest.mark.parametrize(
    "body",
    [{"data": {"List-Unsubscribe": "One-Click"}}, {"json": {}}, {}],
    ids=["form", "json", "empty"],
)
async def test_one_click_ends_a_newsletter_without_signing_in(
    world: World, body: dict[str, Any]
) -> None:
    community = await world.a_community()
    person = await world.a_member(community)
    link = unsubscribe_link(world.mailbox.to(person.email)[0])
    for _ in range(2):
        done = await world.call("POST", link, **body)
        assert done.status_code == 200, done.text
        assert done.json()["subscribed"] is False
    await world.stand.hear(Unsubscribed, person_id=person.id, community_id=community.id)
    assert not await world.subscribed(person, community)
    await world.publish(community)
    assert len(await world.inbox(person)) == 2, "members are told on the site all the same"
    await asyncio.sleep(0.3)
    assert len(world.mailbox.to(person.email)) == 1
    assert world.stand.heard_count(Unsubscribed, person_id=person.id) == 1


async def test_looking_at_a_link_changes_nothing(world: World) -> None:
    community = await world.a_community()
    person = await world.a_member(community)
    link = unsubscribe_link(world.mailbox.to(person.email)[0])
    for method in ("GET", "HEAD", "GET"):
        answer = await world.call(method, link)
    assert answer.json()["subscribed"] is True
    assert answer.json()["slug"] == community.slug
    assert await world.subscribed(person, community)
    await world.call("POST", link)
    after = (await world.call("GET", link)).json()
    assert (after["slug"], after["subscribed"]) == (community.slug, False)


async def test_a_link_that_leads_nowhere_is_answered_like_any_other(world: World) -> None:
    community = await world.a_community()
    person = await world.a_member(community)
    link = unsubscribe_link(world.mailbox.to(person.email)[0])
    altered = link[:-2] + ("AA" if link[-2:] != "AA" else "BB")
    real = await world.call("POST", unsubscribe_link(world.mailbox.to(person.email)[0]))
    for path in (altered, f"/unsubscribe/{uuid4().hex}", "/unsubscribe/é", "/unsubscribe/x"):
        answer = await world.call("POST", path)
        assert (answer.status_code, answer.json()) == (200, real.json())
        assert (await world.call("GET", path)).json()["slug"] is None


async def test_an_altered_token_unsubscribes_nobody(world: World) -> None:
    community = await world.a_community()
    person = await world.a_member(community)
    link = unsubscribe_link(world.mailbox.to(person.email)[0])
    await world.call("POST", link[:-2] + ("AA" if link[-2:] != "AA" else "BB"))
    assert await world.subscribed(person, community)


async def test_members_choose_their_newsletters(world: World) -> None:
    first, second = await world.a_community(), await world.a_community()
    person = await world.a_member(first, second)
    choice = [{"community_id": str(first.id), "subscribed": False}]
    for _ in range(2):
        answer = await world.call("PUT", "/me/subscriptions", person, json=choice)
        assert answer.status_code == 200, answer.text
        states = {one["community_id"]: one["subscribed"] for one in answer.json()}
        assert states == {str(first.id): False, str(second.id): True}
        assert {one["slug"] for one in answer.json()} == {first.slug, second.slug}
    await world.stand.hear(Unsubscribed, person_id=person.id, community_id=first.id)
    back = [{"community_id": str(first.id), "subscribed": True}] * 2
    assert (await world.call("PUT", "/me/subscriptions", person, json=back)).status_code == 200
    assert await world.subscribed(person, first)
    assert world.stand.heard_count(Unsubscribed, person_id=person.id) == 1
    for _ in range(100):
        if world.stand.heard_count(Subscribed, person_id=person.id, community_id=first.id) == 2:
            break
        await asyncio.sleep(0.02)
    assert world.stand.heard_count(Subscribed, person_id=person.id, community_id=first.id) == 2


async def test_who_joins_may_refuse_the_newsletter_beforehand(world: World) -> None:
    community, person = await world.a_community(), await world.a_person()
    no = [{"community_id": str(community.id), "subscribed": False}]
    for _ in range(2):
        answer = await world.call("PUT", "/me/subscriptions", person, json=no)
        assert (answer.status_code, answer.json()) == (200, [])
    membership = await world.grant(person, community)
    mail = await world.mailbox.wait_for(person.email)
    assert mail["List-Unsubscribe"] is None
    assert not await world.subscribed(person, community)
    # The refusal was for this time: it goes with the membership.
    await world.end(person, community, membership)
    await world.grant(person, community)
    assert await world.subscribed(person, community)


async def test_nobody_subscribes_to_a_community_of_others(world: World) -> None:
    own, other = await world.a_community(), await world.a_community()
    person = await world.a_member(own)
    for community_id in (other.id, new_id()):
        wish = [{"community_id": str(community_id), "subscribed": True}]
        answer = await world.call("PUT", "/me/subscriptions", person, json=wish)
        assert answer.status_code == 422
        assert answer.json()["type"].endswith("not-a-member")
        no = [{"community_id": str(community_id), "subscribed": False}]
        answer = await world.call("PUT", "/me/subscriptions", person, json=no)
        assert [one["slug"] for one in answer.json()] == [own.slug]


async def test_leaving_a_community_ends_its_newsletter_with_the_last_company(world: World) -> None:
    community = await world.a_community()
    person = await world.a_member(community)
    (first,) = await world.stand.rows("select id from membership where person_id = $1", person.id)
    second = await world.grant(person, community)
    await world.end(person, community, first[0])
    assert await world.subscribed(person, community)
    await world.end(person, community, second)
    assert not await world.subscribed(person, community)
    await world.stand.hear(Unsubscribed, person_id=person.id, community_id=community.id)
    await world.grant(person, community)
    assert await world.subscribed(person, community), "coming back is becoming a member (N7.1)"


async def test_a_second_company_does_not_undo_a_choice(world: World) -> None:
    community = await world.a_community()
    person = await world.a_member(community)
    await world.call("POST", unsubscribe_link(world.mailbox.to(person.email)[0]))
    await world.grant(person, community)
    mail = await world.mailbox.wait_for(person.email, count=2)
    assert mail["List-Unsubscribe"] is None
    assert "desabonnement" not in text_of(mail)
    assert not await world.subscribed(person, community)


async def test_a_repeated_fact_writes_once(world: World) -> None:
    community, person = await world.a_community(), await world.a_person()
    event = MembershipGranted(
        membership_id=new_id(), person_id=person.id, company_id=new_id(), community_id=community.id
    )
    same, again = new_id(), new_id()
    for event_id in (same, same, again):
        await world.stand.say(event, event_id=event_id)
    await world.stand.eventually("select state = 'done' from inbox where event_id = $1", again)
    await world.mailbox.wait_for(person.email)
    await asyncio.sleep(0.3)
    assert len(world.mailbox.to(person.email)) == 1
    assert len(await world.inbox(person)) == 1


async def test_a_welcome_does_not_wait_for_the_name_of_its_community(world: World) -> None:
    community, person = Community(new_id(), "inconnue"), await world.a_person()
    await world.grant(person, community)
    mail = await world.mailbox.wait_for(person.email)
    assert "http://platform.example/communautes\n" in text_of(mail)
    answer = await world.call("GET", "/me/subscriptions", person)
    assert answer.json() == [{"community_id": str(community.id), "slug": None, "subscribed": True}]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/me/subscriptions"),
        ("PUT", "/me/subscriptions"),
        ("GET", "/me/inbox"),
        ("POST", "/me/inbox/01a20735-5ae8-777e-95aa-a85989e4d42c/read"),
    ],
)
async def test_what_is_ones_own_needs_a_token(world: World, method: str, path: str) -> None:
    assert (await world.call(method, path, json=[])).status_code == 401


async def test_choices_are_limited_and_exact(world: World) -> None:
    person = Person(new_id(), "")
    for body in ([{"community_id": "x", "subscribed": True}], [{"subscribed": True}], {}, [{}]):
        answer = await world.call("PUT", "/me/subscriptions", person, json=body)
        assert answer.status_code == 422, body
    many = [{"community_id": str(new_id()), "subscribed": False}] * 501
    assert (await world.call("PUT", "/me/subscriptions", person, json=many)).status_code == 422
