"""Which messages, by which way, how often - and what nobody can refuse (N4.2)."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis import clock
from chassis.ids import new_id
from contracts.notifications import Unsubscribed
from contracts.privacy import NoticePublished, ProcessingObjected
from services.notifications.models import OFFERS, Kind, next_mail
from services.notifications.schemas import Frequency
from tests.notifications.world import Person, World, text_of

PATH = "/me/preferences"


async def choose(world: World, person: Person, *choices: dict[str, Any]) -> Any:
    return await world.call("PUT", PATH, person, json=list(choices))


async def chosen(world: World, person: Person) -> dict[str, Any]:
    """What the person reads, by kind of message."""
    found = await world.call("GET", PATH, person)
    assert found.status_code == 200, found.text
    return {one["kind"]: one for one in found.json()["messages"]}


def later(world: World, by: timedelta) -> None:
    """It is so much later; the token with which addresses are asked for has expired meanwhile."""
    clock.shift(by)
    world.stand.runtime.credentials.forget()


async def consultations(world: World, person: Person) -> list[Any]:
    """The person's mails about consultations."""
    return [m for m in world.mailbox.to(person.email) if "onsultation" in m["Subject"]]


async def test_one_page_says_what_comes_how_and_what_cannot_be_refused(world: World) -> None:
    person = await world.a_person()
    found = (await world.call("GET", PATH, person)).json()
    messages = {one["kind"]: one for one in found["messages"]}
    assert messages["consultation_published"] == {
        "kind": "consultation_published",
        "label": "Consultations ouvertes dans mes communautés",
        "mail": {"on": True, "can_refuse": True},
        "site": {"on": True, "can_refuse": True},
        "frequency": "at_once",
    }
    assert messages["membership_granted"]["site"]["can_refuse"] is False
    assert len(found["always"]) == 4
    assert all(one["label"] and one["why"] for one in found["always"])
    told = " ".join(one["label"] for one in found["always"])
    for words in ("Sécurité", "Effacement", "Avertissements", "notice"):
        assert words in told


async def test_each_way_is_refused_for_itself_and_the_others_go_on(world: World) -> None:
    community = await world.a_community()
    mails, site, both, all_ = [await world.a_member(community) for _ in range(4)]
    kind = {"kind": "consultation_published"}
    for person, choice in (
        (mails, {"site": False}),
        (site, {"mail": False}),
        (both, {"mail": False, "site": False}),
        (all_, {}),
    ):
        answer = await choose(world, person, kind | choice)
        assert answer.status_code == 200, answer.text
    await world.publish(community)
    for person in (mails, all_):
        await world.mailbox.wait_for(person.email, count=2)
    assert [len(await world.inbox(p)) for p in (mails, site, both, all_)] == [1, 2, 1, 2]
    assert [len(await consultations(world, p)) for p in (site, both)] == [0, 0]
    await choose(world, both, kind | {"mail": True})
    assert (await chosen(world, both))["consultation_published"]["site"]["on"] is False
    await world.publish(community)
    await world.mailbox.wait_for(both.email, count=2)


async def test_mails_that_wait_do_not_go_once_they_are_refused(world: World) -> None:
    community = await world.a_community()
    person, witness = await world.a_member(community), await world.a_member(community)
    world.mail_line.refuse = True
    await world.publish(community)
    await world.stand.eventually(
        "select count(*) = 1 from delivery where person_id = $1 and state = 'due'", person.id
    )
    await choose(world, person, {"kind": "consultation_published", "mail": False})
    world.mail_line.mend()
    try:
        later(world, timedelta(minutes=10))
        await world.mailbox.wait_for(witness.email, count=2)
    finally:
        clock.shift(timedelta(0))
    assert await consultations(world, person) == []


async def test_who_wants_one_mail_a_week_gets_one_with_everything_in_it(world: World) -> None:
    community = await world.a_community()
    person = await world.a_member(community)
    await choose(world, person, {"kind": "consultation_published", "frequency": "weekly"})
    published = [await world.publish(community) for _ in range(3)]
    await world.stand.eventually(
        "select count(*) = 3 from delivery where person_id = $1"
        " and kind = 'consultation_published' and due_at > created_at",
        person.id,
    )
    assert len(await world.inbox(person)) == 4, "on the site they are at once"
    assert await consultations(world, person) == []
    try:
        later(world, timedelta(days=8))
        mail = await world.mailbox.wait_for(person.email, count=2)
        await world.stand.eventually(
            "select count(*) = 3 from delivery where person_id = $1"
            " and kind = 'consultation_published' and state = 'sent'",
            person.id,
        )
    finally:
        clock.shift(timedelta(0))
    assert mail["Subject"] == "3 consultations ouvertes dans vos communautés"
    assert all(f"/consultations/{one.consultation_id}" in text_of(mail) for one in published)
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert len(await consultations(world, person)) == 1


async def test_a_gathered_mail_that_no_server_takes_comes_later_and_whole(world: World) -> None:
    community = await world.a_community()
    person = await world.a_member(community)
    await choose(world, person, {"kind": "consultation_published", "frequency": "daily"})
    for _ in range(2):
        await world.publish(community)
    world.mail_line.refuse = True
    try:
        later(world, timedelta(days=1, hours=1))
        await world.stand.eventually(
            "select count(*) = 2 from delivery where person_id = $1 and attempts > 0", person.id
        )
        world.mail_line.mend()
        later(world, timedelta(days=1, hours=3))
        mail = await world.mailbox.wait_for(person.email, count=2)
    finally:
        world.mail_line.mend()
        clock.shift(timedelta(0))
    assert mail["Subject"].startswith("2 consultations")


async def test_refusing_all_ends_what_is_not_necessary_and_leaves_what_is(world: World) -> None:
    community = await world.a_community()
    person = await world.a_member(community)
    refused = await world.call("POST", f"{PATH}/refuse-all", person)
    assert refused.status_code == 200, refused.text
    for one in refused.json()["messages"]:
        for way in ("mail", "site"):
            assert one[way]["on"] is not one[way]["can_refuse"]
    await world.stand.hear(Unsubscribed, person_id=person.id, community_id=community.id)
    assert not await world.subscribed(person, community)
    await world.publish(community)
    await world.stand.say(
        NoticePublished(notice_id=new_id(), notice_version="essai", in_force_from=clock.now())
    )
    mail = await world.mailbox.wait_for(person.email, count=2)
    assert "notice" in mail["Subject"].lower()
    assert [one["kind"] for one in await world.inbox(person)] == [
        "notice_published",
        "membership_granted",
    ]


async def test_objecting_at_privacy_does_the_same(world: World) -> None:
    community = await world.a_community()
    person = await world.a_member(community)
    objected = ProcessingObjected(person_id=person.id, objected_at=clock.now())
    for _ in range(2):
        await world.stand.say(objected)
    await world.stand.hear(Unsubscribed, person_id=person.id, community_id=community.id)
    assert not await world.subscribed(person, community)
    assert (await chosen(world, person))["consultation_published"]["mail"]["on"] is False
    stranger = await world.a_person()
    await world.stand.say(ProcessingObjected(person_id=stranger.id, objected_at=clock.now()))
    await world.stand.eventually(
        "select count(*) > 0 from preference where person_id = $1", stranger.id
    )


@pytest.mark.parametrize(
    ("choice", "slug"),
    [
        ({"kind": "retention_warning", "mail": False}, "necessary-message"),
        ({"kind": "notice_published", "site": False}, "necessary-message"),
        ({"kind": "membership_refused", "site": False}, "necessary-message"),
        ({"kind": "membership_granted", "frequency": "weekly"}, "necessary-message"),
        ({"kind": "publicite", "mail": False}, "necessary-message"),
        ({"kind": "consultation_published", "mail": "non"}, "invalid-input"),
        ({"kind": "consultation_published", "frequency": "hourly"}, "invalid-input"),
        ({"kind": "consultation_published", "sms": False}, "invalid-input"),
        ({"mail": False}, "invalid-input"),
        ({"kind": "k" * 51}, "invalid-input"),
    ],
)
async def test_what_is_necessary_cannot_be_refused_nor_nonsense_chosen(
    world: World, choice: dict[str, Any], slug: str
) -> None:
    person = Person(new_id(), "")
    answer = await choose(world, person, choice)
    assert (answer.status_code, answer.json()["type"]) == (422, f"urn:ccib:problem:{slug}")
    too_many = await choose(world, person, *[{"kind": "membership_granted"}] * 51)
    assert too_many.status_code == 422
    assert all(one["mail"]["on"] for one in (await chosen(world, person)).values())


async def test_preferences_are_ones_own_and_survive_choosing_at_once(world: World) -> None:
    one, other = Person(new_id(), ""), Person(new_id(), "")
    kind = {"kind": "consultation_published"}
    answers = await asyncio.gather(
        *(choose(world, one, kind | {"mail": bool(n % 2)}) for n in range(6)),
        choose(world, one, kind | {"frequency": "daily"}),
    )
    assert {answer.status_code for answer in answers} == {200}
    mine = (await chosen(world, one))["consultation_published"]
    assert mine["frequency"] == "daily"
    theirs = (await chosen(world, other))["consultation_published"]
    assert (theirs["mail"]["on"], theirs["frequency"]) == (True, "at_once")
    for method, path in (("GET", PATH), ("PUT", PATH), ("POST", f"{PATH}/refuse-all")):
        assert (await world.call(method, path, json=[])).status_code == 401


async def test_forgetting_a_person_forgets_their_preferences(world: World) -> None:
    person = Person(new_id(), "")
    await choose(world, person, {"kind": "consultation_published", "mail": False})
    shown = await world.stand.erase(person.id)
    assert shown["subjects"][0]["tables"]["preference"]["deleted"] == 1
    assert not await world.stand.rows("select 1 from preference where person_id = $1", person.id)


@given(
    st.datetimes(min_value=datetime(2024, 1, 1), max_value=datetime(2060, 1, 1)),  # noqa: DTZ001
    st.sampled_from(Frequency),
)
def test_a_mail_waits_a_day_or_a_week_at_most(now: datetime, frequency: Frequency) -> None:
    now = now.replace(tzinfo=UTC)
    wait = next_mail(frequency, now) - now
    longest = {Frequency.AT_ONCE: 0, Frequency.DAILY: 25, Frequency.WEEKLY: 7 * 24 + 1}
    assert timedelta(0) <= wait <= timedelta(hours=longest[frequency])


def test_only_what_is_not_necessary_is_offered() -> None:
    assert Kind.RETENTION_WARNING not in OFFERS
    assert Kind.NOTICE_PUBLISHED not in OFFERS
