"""Mails are sent when the servers are there: nothing lost, nothing twice, no address kept."""

import asyncio
from datetime import timedelta

import asyncpg

from chassis import clock
from tests.notifications.world import World

STATE = "select state from delivery where person_id = $1"


async def test_mails_wait_for_the_server_and_then_go_once(world: World) -> None:
    community = await world.a_community()
    people = [await world.a_person() for _ in range(6)]
    world.mail_line.refuse = True
    for person in people:
        await world.grant(person, community)
    ids = [person.id for person in people]
    await world.stand.eventually(
        "select count(*) > 0 from delivery where person_id = any($1) and attempts > 0", ids
    )
    rows = await world.stand.rows(
        "select state, due_at > created_at as later, attempts from delivery where person_id = any($1)",
        ids,
    )
    assert {row["state"] for row in rows} == {"due"}
    assert all(row["later"] == bool(row["attempts"]) for row in rows)
    world.mail_line.mend()
    clock.shift(timedelta(seconds=120))
    try:
        for person in people:
            await world.mailbox.wait_for(person.email)
    finally:
        clock.shift(timedelta(0))
    await world.stand.eventually(
        "select bool_and(state = 'sent' and sent_at is not null) from delivery"
        " where person_id = any($1)",
        ids,
    )
    await asyncio.sleep(0.3)
    assert [len(world.mailbox.to(person.email)) for person in people] == [1] * 6


async def test_mails_wait_for_identity(world: World) -> None:
    community, person = await world.a_community(), await world.a_person()
    world.identity_line.refuse = True
    world.identity_line.reset()
    await world.grant(person, community)
    await asyncio.sleep(1)
    (row,) = await world.stand.rows(
        "select state, attempts from delivery where person_id = $1", person.id
    )
    assert (row["state"], row["attempts"]) == ("due", 0)
    world.identity_line.mend()
    await world.mailbox.wait_for(person.email)


async def test_a_mail_that_went_without_our_knowing_is_repeated_under_the_same_name(
    world: World,
) -> None:
    community, person = await world.a_community(), await world.a_person()
    world.mail_line.hush = b"\r\n.\r\n"  # the server accepts, and its answer is lost
    await world.grant(person, community)
    await asyncio.wait_for(world.mail_line.hushed.wait(), 10)
    await world.mailbox.wait_for(person.email)
    world.mail_line.reset()
    world.mail_line.mend()
    await world.stand.eventually(
        "select attempts = 1 from delivery where person_id = $1", person.id
    )
    clock.shift(timedelta(seconds=60))
    try:
        await world.mailbox.wait_for(person.email, count=2)
    finally:
        clock.shift(timedelta(0))
    first, second = world.mailbox.to(person.email)
    assert first["Message-ID"] == second["Message-ID"]
    (row,) = await world.stand.rows("select id from delivery where person_id = $1", person.id)
    assert first["Message-ID"] == f"<{row['id']}@platform.example>"


async def test_an_address_that_does_not_exist_is_not_tried_again(world: World) -> None:
    community, person = await world.a_community(), await world.a_person()
    world.mailbox.unknown.add(person.email)
    await world.grant(person, community)
    await world.stand.eventually(f"{STATE} and state = 'failed'", person.id)
    (row,) = await world.stand.rows(
        "select attempts, due_at from delivery where person_id = $1", person.id
    )
    assert (row["attempts"], row["due_at"]) == (0, None)


async def test_somebody_without_a_confirmed_account_gets_no_mail(world: World) -> None:
    person = await world.a_person()
    await world.identity.rows("update account set state = 'unverified' where id = $1", person.id)
    await world.grant(person, await world.a_community())
    await world.stand.eventually(f"{STATE} and state = 'failed'", person.id)
    assert world.mailbox.to(person.email) == []


async def test_a_mail_that_cannot_be_written_holds_up_no_other(world: World) -> None:
    community, odd = await world.a_community(), await world.a_person()
    await world.identity.rows(
        "update account set email = $1 where id = $2", "a\nBcc: b@entreprise.example", odd.id
    )
    await world.grant(odd, community)
    person = await world.a_member(community)
    assert len(world.mailbox.to(person.email)) == 1
    (row,) = await world.stand.rows(
        "select state, attempts from delivery where person_id = $1", odd.id
    )
    assert (row["state"], row["attempts"]) == ("due", 1)


async def test_after_five_days_a_mail_is_given_up(world: World) -> None:
    community, person = await world.a_community(), await world.a_person()
    world.mail_line.refuse = True
    await world.grant(person, community)
    await world.stand.eventually("select attempts from delivery where person_id = $1", person.id)
    await world.stand.rows(
        "update delivery set created_at = now() - interval '6 days', due_at = now()"
        " where person_id = $1",
        person.id,
    )
    await world.stand.eventually(f"{STATE} and state = 'failed'", person.id)


async def test_no_address_is_kept(world: World) -> None:
    person = await world.a_member(await world.a_community())
    connection = await asyncpg.connect(world.stand.settings.database_url)
    try:
        tables = await connection.fetch(
            "select tablename from pg_tables where schemaname = 'public'"
        )
        for (table,) in tables:
            found = await connection.fetchval(
                f'select count(*) from "{table}" t where t::text like $1', f"%{person.email}%"
            )
            assert found == 0, table
    finally:
        await connection.close()
    assert person.email not in str(world.stand.heard)
