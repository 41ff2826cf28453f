"""Warnings before an account is deleted: once, in French, with enough days; privacy hears of each."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

from chassis import clock
from chassis.ids import new_id
from contracts.notifications import RetentionWarningSettled
from contracts.privacy import RetentionWarningDue
from tests.notifications.world import Person, World, text_of


def today() -> date:
    return clock.now().date()


async def warn(
    world: World, person_id: UUID, *, until: date, days: int = 7, warning_id: UUID | None = None
) -> RetentionWarningDue:
    due = RetentionWarningDue(
        warning_id=warning_id or new_id(),
        person_id=person_id,
        rule="incomplete-accounts",
        kept_until=until,
        notice_days=days,
    )
    event_id = await world.stand.say(due)
    await world.stand.eventually("SELECT state FROM inbox WHERE event_id = $1", event_id)
    return due


async def settled(world: World, due: RetentionWarningDue, **fields: Any) -> dict[str, Any]:
    return await world.stand.hear(RetentionWarningSettled, warning_id=due.warning_id, **fields)


async def test_the_mail_says_until_when_how_to_stay_and_how_to_leave(world: World) -> None:
    person = await world.a_person()
    due = await warn(world, person.id, until=date(2099, 2, 28), days=30)
    mail = await world.mailbox.wait_for(person.email)
    assert mail["Subject"] == "Votre compte CCI Business sera supprimé après le 28 février 2099"
    text = text_of(mail)
    assert "jusqu'au 28 février 2099 inclus" in text
    assert "http://platform.example/communautes\n" in text
    assert "http://platform.example/mon-compte\n" in text
    assert mail["List-Unsubscribe"] is None
    heard = await settled(world, due)
    assert (heard["outcome"], heard["kept_until"]) == ("sent", "2099-02-28")
    [line] = await world.inbox(person)
    assert (line["kind"], line["path"]) == ("retention_warning", "/mon-compte")


async def test_the_same_warning_is_mailed_once_and_answered_again(world: World) -> None:
    person = await world.a_person()
    due = await warn(world, person.id, until=date(2099, 2, 28))
    await settled(world, due)
    await warn(world, person.id, until=date(2099, 3, 15), warning_id=due.warning_id)
    await world.stand.eventually(
        "SELECT count(*) = 0 FROM outbox WHERE routing_key = $1",
        RetentionWarningSettled.routing_key(),
    )
    for _ in range(2):
        heard = await settled(world, due, kept_until="2099-02-28")
    assert heard["outcome"] == "sent"
    assert len(world.mailbox.to(person.email)) == 1


async def test_a_mail_that_goes_late_names_a_later_day(world: World) -> None:
    person = await world.a_person()
    due = await warn(world, person.id, until=today() + timedelta(days=2), days=30)
    heard = await settled(world, due)
    told = date.fromisoformat(heard["kept_until"])
    assert told - today() in (timedelta(days=30), timedelta(days=31))  # Paris may be a day ahead
    assert f"{told.day} " in (await world.mailbox.wait_for(person.email))["Subject"]


async def test_whoever_joins_is_not_warned_any_more(world: World) -> None:
    community, person = await world.a_community(), await world.a_person()
    world.mail_line.refuse = True
    due = await warn(world, person.id, until=date(2099, 2, 28))
    assert len(await world.inbox(person)) == 1
    await world.grant(person, community)
    assert [line["kind"] for line in await world.inbox(person)] == ["membership_granted"]
    left = "SELECT 1 FROM retention_warning WHERE person_id = $1"
    assert await world.stand.rows(left, person.id) == []
    world.mail_line.mend()
    clock.shift(timedelta(seconds=120))
    try:
        mail = await world.mailbox.wait_for(person.email)
    finally:
        clock.shift(timedelta(0))
    assert "membre" in mail["Subject"]
    assert len(world.mailbox.to(person.email)) == 1
    assert world.stand.heard_count(RetentionWarningSettled, warning_id=due.warning_id) == 0


async def test_a_warning_that_can_reach_nobody_is_told_as_such(world: World) -> None:
    nobody = uuid4()  # no account, or an address that was never confirmed
    heard = await settled(world, await warn(world, nobody, until=date(2099, 2, 28)))
    assert heard["outcome"] == "undeliverable"
    refused = await world.a_person()
    world.mailbox.unknown.add(refused.email)
    heard = await settled(world, await warn(world, refused.id, until=date(2099, 2, 28)))
    assert heard["outcome"] == "undeliverable"


async def test_a_warning_that_no_server_takes_for_days_has_to_be_given_again(world: World) -> None:
    person: Person = await world.a_person()
    world.mail_line.refuse = True
    due = await warn(world, person.id, until=date(2099, 2, 28))
    await world.stand.eventually(
        "SELECT attempts > 0 FROM delivery WHERE target_id = $1", due.warning_id
    )
    clock.shift(timedelta(days=6))
    world.stand.runtime.credentials._ends = float("-inf")
    world.stand.runtime.db.bells["mail"].set()
    try:
        heard = await settled(world, due)
    finally:
        clock.shift(timedelta(0))
        world.stand.runtime.credentials._ends = float("-inf")
    assert heard["outcome"] == "unsent"
    assert world.mailbox.to(person.email) == []


async def test_warnings_fall_with_the_person(world: World) -> None:
    person = await world.a_person()
    await settled(world, await warn(world, person.id, until=date(2099, 2, 28)))
    await world.stand.erase(person.id)
    for table in ("retention_warning", "delivery", "notice"):
        rows = await world.stand.rows(f"SELECT 1 FROM {table} WHERE person_id = $1", person.id)
        assert rows == []
