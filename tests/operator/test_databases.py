"""What the doctor reads in databases: erasures that do not move, and a ledger that disagrees."""

import asyncio
import json
import secrets
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from chassis import clock
from chassis.migrations import upgrade
from cli.doctor import databases
from cli.doctor.sources import Sources
from deploy.local.layout import REPOSITORY
from services.privacy.models import catalogue


@dataclass(kw_only=True)
class Books:
    """A privacy without a process: its database, and a folder for the ledger copy."""

    url: str
    ledger: Path

    async def sql(self, statement: str, *values: Any) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statement, *values)
        finally:
            await connection.close()

    def copied(self, position: int, *, age: timedelta) -> None:
        entry = {"position": position, "at": (clock.now() - age).isoformat()}
        (self.ledger / f"{position:012d}.json").write_text(json.dumps({"entry": entry}))

    async def broadcast(self, position: int, *, age: timedelta) -> UUID:
        """An erasure that was broadcast so long ago."""
        erasure_id, person = uuid4(), uuid4()
        then = clock.now() - age
        await self.sql("INSERT INTO data_subject (id, erased_at) VALUES ($1, $2)", person, then)
        await self.sql(
            "INSERT INTO broadcast (position, broadcast_id, entry, entry_hash, reserved_at, sent_at,"
            " chases) VALUES ($1, $2, '{}', $3, $4, $4, 0)",
            position,
            uuid4(),
            secrets.token_hex(32),
            then,
        )
        await self.sql(
            "INSERT INTO erasure (erasure_id, subject_id, reason, requested_at, due_by, position)"
            " VALUES ($1, $2, 'self-service', $3, $4, $5)",
            erasure_id,
            person,
            then,
            then + timedelta(days=30),
            position,
        )
        return erasure_id

    async def waits_for(self, erasure_id: UUID, name: str, position: int, *, days: int) -> None:
        """Somebody has not answered, and has so many days left."""
        await self.sql(
            "INSERT INTO participant (name, kind, broker_user, deadline_days, active, registered_at)"
            " VALUES ($1, 'partner', $1, 30, true, now()) ON CONFLICT DO NOTHING",
            name,
        )
        await self.sql(
            "INSERT INTO step (erasure_id, participant, position, due_by) VALUES ($1, $2, $3, $4)",
            erasure_id,
            name,
            position,
            clock.now() + timedelta(days=days),
        )

    async def said(self) -> dict[str, str]:
        """What the doctor says about it: the sentence, by whom and how bad."""
        sources = Sources(ledger=self.ledger.as_uri())
        ledger = await databases.positions(sources.ledger)
        read = await databases.examine("privacy", self.url, ledger, sources)
        assert read.answers
        assert all(one.do for one in read.findings)
        return {f"{one.weight.name} {one.where}": one.what for one in read.findings}


@pytest.fixture(scope="module")
async def migrated(servers: SimpleNamespace) -> str:
    return await _database(servers, "privacy", fill=True)


@pytest.fixture
async def books(servers: SimpleNamespace, migrated: str, tmp_path: Path) -> Books:
    return Books(url=await _database(servers, "books", of=migrated), ledger=tmp_path)


async def _database(
    servers: SimpleNamespace, word: str, *, of: str | None = None, fill: bool = False
) -> str:
    name = f"doctor_{word}_{secrets.token_hex(4)}"
    template = of.rpartition("/")[2] if of else "template1"
    connection = await asyncpg.connect(servers.postgres_url)
    try:
        await connection.execute(f'create database "{name}" template "{template}"')
    finally:
        await connection.close()
    url = f"{servers.postgres_url.rpartition('/')[0]}/{name}"
    if fill:
        folder = REPOSITORY / "services" / "privacy" / "migrations"
        await asyncio.to_thread(upgrade, folder, catalogue.metadata, url)
    return url


async def test_a_fresh_database_is_well(books: Books) -> None:
    assert await books.said() == {}


async def test_who_has_not_answered_is_named_and_worse_when_it_is_late(books: Books) -> None:
    erasure_id = await books.broadcast(1, age=timedelta(hours=5))
    books.copied(1, age=timedelta(hours=5))
    await books.sql("INSERT INTO applied VALUES (1, '', $1, now(), '{}')", uuid4())
    await books.waits_for(erasure_id, "crm", 1, days=3)
    await books.waits_for(erasure_id, "old", 1, days=-1)
    young = await books.broadcast(2, age=timedelta(minutes=1))
    books.copied(2, age=timedelta(minutes=1))
    await books.waits_for(young, "crm", 2, days=3)
    await books.waits_for(young, "new", 2, days=3)
    await books.sql("INSERT INTO applied VALUES (2, '', $1, now(), '{}')", uuid4())
    assert await books.said() == {
        "ATTENTION crm": "it has not answered 2 erasures, the oldest for 5 hours",
        "BROKEN old": "it has not answered 1 erasure, the oldest for 5 hours; 1 are past their date",
    }


async def test_an_erasure_that_is_not_broadcast_and_people_who_are_not_told(books: Books) -> None:
    erasure_id = await books.broadcast(1, age=timedelta(hours=3))
    books.copied(1, age=timedelta(hours=3))
    await books.sql("INSERT INTO applied VALUES (1, '', $1, now(), '{}')", uuid4())
    await books.sql(
        "UPDATE erasure SET completed_at = now() - interval '2 hours', certificate = 'x'"
    )
    await books.sql(
        "INSERT INTO last_message (erasure_id, subject_id, sealed_address, destroy_at, attempts,"
        " due_at) SELECT erasure_id, subject_id, '', now() + interval '1 day', 4, now() FROM erasure"
        " WHERE erasure_id = $1",
        erasure_id,
    )
    waiting = uuid4()
    await books.sql("INSERT INTO data_subject (id) VALUES ($1)", waiting)
    await books.sql(
        "INSERT INTO erasure (erasure_id, subject_id, reason, requested_at, due_by)"
        " VALUES ($1, $2, 'self-service', now() - interval '2 hours', now())",
        uuid4(),
        waiting,
    )
    assert await books.said() == {
        "BROKEN privacy": "1 erasure is not broadcast, the oldest asked for 2 hours ago",
        "ATTENTION privacy": "1 person was not told yet that they are forgotten (up to 4 tries)",
    }


async def test_a_ledger_that_disagrees_is_told_on_both_sides(books: Books) -> None:
    await books.broadcast(1, age=timedelta(hours=1))
    await books.sql("INSERT INTO applied VALUES (1, '', $1, now(), '{}')", uuid4())
    assert await books.said() == {
        "BROKEN privacy": "1 position of the ledger (from 1) are not in its copy"
    }
    for position in (1, 2, 3):
        books.copied(position, age=timedelta(seconds=10))
    # What was written this moment is on its way.
    assert await books.said() == {
        "BROKEN privacy": "the ledger copy reaches position 3, its database 1: it was restored"
    }
    await books.sql("DELETE FROM applied")
    books.copied(1, age=timedelta(hours=1))
    sources = Sources(ledger=books.ledger.as_uri())
    read = await databases.examine("privacy", books.url, [1, 2, 3], sources)
    assert any(
        one.what.startswith("it has not applied 3 of 3 positions of the ledger, the first is 1")
        for one in read.findings
    )


async def test_an_outbox_that_does_not_move_and_events_that_fail_again(books: Books) -> None:
    await books.sql(
        "INSERT INTO outbox (event_id, aggregate, slot, exchange, routing_key, body, created_at)"
        " VALUES (gen_random_uuid(), 'x', 0, 'e', 'k', '', now() - interval '10 minutes')"
    )
    await books.sql(
        "INSERT INTO inbox (event_id, aggregate, received_at, state, reason)"
        " VALUES (gen_random_uuid(), 'x', now() - interval '5 minutes', 'waiting', 'KeyError')"
    )
    await books.sql("INSERT INTO refusal (id, refused_at, cause) VALUES ($1, now(), 'x')", uuid4())
    sources = Sources(ledger=books.ledger.as_uri())
    read = await databases.examine("privacy", books.url, [], sources)
    assert sorted(one.what for one in read.findings) == [
        "1 event is tried again since 5 minutes: KeyError",
        "1 event waits in its outbox, the oldest for 10 minutes",
        "refused 1 answer of nobody in the last day: x",
    ]


async def test_a_database_that_refuses_or_is_empty_is_a_finding(
    books: Books, servers: SimpleNamespace
) -> None:
    wrong = books.url.replace("doctor_books", "nothing")
    read = await databases.examine("privacy", wrong, [], Sources())
    assert (read.answers, len(read.findings)) == (False, 1)
    empty = await _database(servers, "empty")
    read = await databases.examine("privacy", empty, [], Sources())
    assert [one.do for one in read.findings] == ["run its migrations"]


async def test_a_clock_that_is_wrong_is_said(books: Books) -> None:
    clock.shift(timedelta(minutes=10))
    try:
        read = await databases.examine("privacy", books.url, [], Sources())
    finally:
        clock.shift(timedelta(0))
    assert [one.what for one in read.findings] == ["its clock is 10 minutes behind this machine's"]
