"""Who is told what: members, animators, and nobody twice."""

import asyncio
from datetime import timedelta

from chassis import clock
from chassis.ids import new_id
from contracts.consultations import ConsultationCancelled, ConsultationClosed
from contracts.directory import AnimatorDismissed, MembershipRefused
from contracts.privacy import NoticePublished
from tests.notifications.world import World, text_of


async def test_one_mail_per_person_and_consultation(world: World) -> None:
    first, second, third = [await world.a_community() for _ in range(3)]
    both, one = await world.a_member(first, second), await world.a_member(second)
    other = await world.a_member(third)
    event = await world.publish(first, second)
    await world.publish(first, second, third, consultation_id=event.consultation_id)
    mail = await world.mailbox.wait_for(both.email, count=3)
    await world.mailbox.wait_for(one.email, count=2)
    await world.mailbox.wait_for(other.email, count=2)
    assert f"http://platform.example/consultations/{event.consultation_id}\n" in text_of(mail)
    assert "heure de Paris" in text_of(mail)
    assert mail["List-Unsubscribe"]
    await asyncio.sleep(0.3)
    assert [len(world.mailbox.to(p.email)) for p in (both, one, other)] == [3, 2, 2]
    lines = [line for line in await world.inbox(both) if line["kind"] == "consultation_published"]
    assert [line["path"] for line in lines] == [f"/consultations/{event.consultation_id}"]


async def test_animators_are_told_about_requests_until_one_of_them_answers(world: World) -> None:
    community = await world.a_community()
    animator, colleague, former = [await world.a_person() for _ in range(3)]
    for person in (animator, colleague, former):
        await world.appoint(person, community)
    await world.stand.say(AnimatorDismissed(community_id=community.id, person_id=former.id))
    await world.stand.eventually(
        "select not exists (select from animator where person_id = $1)", former.id
    )
    applicant = await world.a_person()
    membership_id = await world.request(applicant, community)
    for person in (animator, colleague):
        mail = await world.mailbox.wait_for(person.email)
        assert "demande à rejoindre" in mail["Subject"]
        assert applicant.email not in mail.as_string()
        (line,) = await world.inbox(person)
        assert line["target_id"] == str(membership_id)
    await world.stand.say(
        MembershipRefused(
            membership_id=membership_id, person_id=applicant.id, community_id=community.id
        )
    )
    mail = await world.mailbox.wait_for(applicant.email)
    assert f"http://platform.example/communautes/{community.slug}\n" in text_of(mail)
    assert mail["List-Unsubscribe"] is None
    (line,) = await world.inbox(applicant)
    assert line["kind"] == "membership_refused"
    assert await world.inbox(animator) == await world.inbox(colleague) == []
    assert world.mailbox.to(former.email) == []


async def test_members_are_told_about_a_new_notice(world: World) -> None:
    first, second = await world.a_community(), await world.a_community()
    person = await world.a_member(first, second)
    await world.stand.say(
        NoticePublished(
            notice_id=new_id(),
            notice_version="2027-01",
            in_force_from="2027-01-01T00:00:00+01:00",
        )
    )
    mail = await world.mailbox.wait_for(person.email, count=3)
    assert "1er janvier 2027" in text_of(mail)
    assert (await world.inbox(person))[0]["kind"] == "notice_published"


async def test_a_consultation_that_is_over_is_not_written_about(world: World) -> None:
    community = await world.a_community()
    person = await world.a_member(community)
    world.mail_line.refuse = True
    closed, cancelled = await world.publish(community), await world.publish(community)
    for event in (
        ConsultationClosed(consultation_id=closed.consultation_id),
        ConsultationCancelled(consultation_id=cancelled.consultation_id),
    ):
        event_id = await world.stand.say(event)
        await world.stand.eventually("select state from inbox where event_id = $1", event_id)
    assert [line["target_id"] for line in await world.inbox(person)][:-1] == [
        str(closed.consultation_id)
    ]
    due = "select true from delivery where person_id = $1 and state = 'due'"
    assert await world.stand.rows(due, person.id) == []


async def test_the_inbox_is_read_page_by_page_and_by_its_owner_alone(world: World) -> None:
    community = await world.a_community()
    person, other = await world.a_member(community), await world.a_member(community)
    for _ in range(4):
        await world.publish(community)
    seen: list[str] = []
    path = "/me/inbox?limit=2"
    for _ in range(3):
        answer = await world.call("GET", path, person)
        page = answer.json()
        seen += [line["id"] for line in page["items"]]
        path = f"/me/inbox?limit=2&after={page['next']}"
        assert ('rel="next"' in answer.headers.get("Link", "")) == bool(page["next"])
    assert len(seen) == len(set(seen)) == 5
    assert page["next"] is None
    assert (await world.call("POST", f"/me/inbox/{seen[0]}/read", other)).status_code == 404
    for _ in range(2):
        assert (await world.call("POST", f"/me/inbox/{seen[0]}/read", person)).status_code == 204
    read = [line["id"] for line in await world.inbox(person) if line["read_at"]]
    assert read == seen[:1]
    assert not any(line["read_at"] for line in await world.inbox(other))
    assert (await world.call("GET", "/me/inbox?after=x", person)).status_code == 422


async def test_what_has_had_its_time_is_forgotten(world: World) -> None:
    community = await world.a_community()
    person = await world.a_member(community)
    event = await world.publish(community)
    await world.mailbox.wait_for(person.email, count=2)
    await world.stand.eventually(
        "select count(*) = 2 from delivery where person_id = $1 and state = 'sent'", person.id
    )
    sweep = next(job for job in world.stand.runtime.service.jobs if job.name == "sweep")
    left = """select (select count(*) from delivery where person_id = $1),
                     (select count(*) from notice where person_id = $1),
                     (select count(*) from consultation where id = $2)"""
    try:
        for days, expected in ((179, (2, 2, 1)), (181, (0, 2, 1)), (400, (0, 0, 0))):
            clock.shift(timedelta(days=days))
            await sweep.run(world.stand.runtime)
            (row,) = await world.stand.rows(left, person.id, event.consultation_id)
            assert tuple(row) == expected
    finally:
        clock.shift(timedelta(0))
