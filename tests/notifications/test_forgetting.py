"""An erased person is nowhere, cannot come back, and is not in what others were told."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from chassis import clock
from chassis.ids import new_id
from contracts.directory import MembershipGranted
from contracts.privacy import RetentionWarningDue
from services.notifications.models import catalogue
from tests.notifications.world import Person, World, unsubscribe_link


async def everything_about(world: World, person_id: UUID) -> dict[str, list[dict[str, Any]]]:
    """The rows of every table that names the person, by any of its columns."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in catalogue.subjects:
        rows = await world.stand.rows(
            f'select * from "{entry.table.name}" where "{entry.column.name}" = $1', person_id
        )
        found.setdefault(entry.table.name, []).extend(dict(row) for row in rows)
    return {table: sorted(rows, key=str) for table, rows in found.items()}


async def a_full_life(world: World) -> tuple[Person, Person]:
    """Somebody in every table, and the animator who was told about them."""
    community, other = await world.a_community(), await world.a_community()
    animator = await world.a_person()
    await world.appoint(animator, other)
    person = await world.a_member(community)
    await world.appoint(person, community)
    await world.request(person, other)
    await world.mailbox.wait_for(animator.email)
    await world.publish(community)
    await world.mailbox.wait_for(person.email, count=2)
    await world.stand.rows(
        "insert into idempotency_key (person_id, key, request_hash, resource_id, created_at)"
        " values ($1, $2, 'hash', $3, now())",
        person.id,
        f"key-{person.id}",
        new_id(),
    )
    await world.stand.operate(person.id)
    chosen = [{"kind": "consultation_published", "frequency": "daily"}]
    await world.call("PUT", "/me/preferences", person, json=chosen)
    await world.stand.say(
        RetentionWarningDue(
            warning_id=new_id(),
            person_id=person.id,
            rule="essai",
            kept_until=clock.now().date() + timedelta(days=30),
            notice_days=7,
        )
    )
    await world.mailbox.wait_for(person.email, count=3)
    await world.stand.eventually(  # the server has the mails before the sender has noted it
        "select not exists (select from delivery where person_id = $1 and due_at is not null)",
        person.id,
    )
    return person, animator


async def test_an_erased_person_is_gone_from_every_table_and_nobody_else_is(world: World) -> None:
    person, animator = await a_full_life(world)
    witness, _ = await a_full_life(world)
    before = await everything_about(world, person.id)
    assert all(before.values()), {table for table, rows in before.items() if not rows}
    others = await everything_about(world, witness.id)
    (told,) = await world.inbox(animator)
    assert told["kind"] == "membership_requested"
    link = unsubscribe_link(world.mailbox.to(person.email)[0])

    answer = await world.stand.erase(person.id)

    (evidence,) = answer["subjects"]
    assert evidence["outcome"] == "erased"
    assert set(evidence["tables"]) == set(catalogue.tables())
    assert {
        table: counts["deleted"] + counts["detached"]
        for table, counts in evidence["tables"].items()
    } == {table: len(rows) for table, rows in before.items()}
    after = await everything_about(world, person.id)
    assert not any(after.values()), after
    for table in await world.stand.rows(
        "select tablename from pg_tables where schemaname='public'"
    ):
        if table[0] in ("data_subject", "inbox", "outbox", "aggregate_sequence", "applied"):
            continue  # opaque ids, for their declared periods
        found = await world.stand.rows(
            f'select t::text from "{table[0]}" t where t::text like $1', f"%{person.id}%"
        )
        assert found == [], table[0]
    assert await everything_about(world, witness.id) == others
    assert await world.inbox(animator) == [], "the request of somebody who is gone is gone, too"
    for method in ("GET", "POST"):
        gone = await world.call(method, link)
        assert gone.status_code == 200
        assert gone.json()["slug"] is None
        assert gone.json()["subscribed"] is False
    assert (await world.call("GET", "/me/inbox", person)).status_code == 401


async def test_a_late_event_cannot_bring_an_erased_member_back(world: World) -> None:
    community, person_id = await world.a_community(), uuid4()
    answer = await world.stand.erase(person_id)
    assert answer["subjects"][0]["outcome"] == "nothing_held"
    event_id = await world.stand.say(
        MembershipGranted(
            membership_id=new_id(),
            person_id=person_id,
            company_id=new_id(),
            community_id=community.id,
        )
    )
    await world.stand.eventually("select state = 'fenced' from inbox where event_id = $1", event_id)
    assert not any((await everything_about(world, person_id)).values())


async def test_a_mail_that_waits_is_not_sent_to_somebody_who_was_erased(world: World) -> None:
    community, person = await world.a_community(), await world.a_person()
    world.mail_line.refuse = True
    await world.grant(person, community)
    await world.stand.erase(person.id)
    assert await world.stand.rows("select true from delivery where person_id = $1", person.id) == []
    world.mail_line.mend()
    witness = await world.a_member(community)
    assert len(world.mailbox.to(witness.email)) == 1
    assert world.mailbox.to(person.email) == []
