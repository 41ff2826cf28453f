"""Set by set: what waits rides together, and the number of statements does not grow with the people."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import clock
from chassis.ids import new_id
from contracts.identity import AccountLocked
from contracts.privacy import PartnerAcknowledged, PartnerSubject, Reason
from deploy.local.layout import SERVICES
from services.privacy.actions import answers, broadcasts, certificates, escalations, last_messages
from services.privacy.consumers import on_accounts_locked
from services.privacy.credentials import certificate_key
from tests.privacy.conftest import Members, privacy_standing
from tests.privacy.troupe import Troupe, ask
from tests.stand import Stand


@pytest.mark.long
async def test_what_waits_while_a_broadcast_is_written_rides_in_batches_of_five_hundred(
    privacy: Stand, troupe: Troupe
) -> None:
    folder = Path(urlsplit(privacy.settings.ledger_url).path)
    away = folder.rename(folder.with_name("away-for-long"))
    try:
        being_written = await ask(privacy)
        await privacy.eventually(
            "SELECT position FROM erasure WHERE erasure_id = $1", being_written
        )
        asked = await asyncio.gather(*(ask(privacy) for _ in range(1200)))
        await privacy.eventually(
            "SELECT count(*) = 1200 FROM erasure WHERE erasure_id = ANY($1) AND position IS NULL",
            asked,
        )
    finally:
        away.rename(folder)
    await privacy.eventually(
        "SELECT count(*) = 1200 FROM erasure WHERE erasure_id = ANY($1)"
        " AND completed_at IS NOT NULL",
        asked,
        seconds=60,
    )
    found = await privacy.rows(
        "SELECT count(*) FROM erasure WHERE erasure_id = ANY($1) GROUP BY position"
        " ORDER BY position",
        asked,
    )
    assert [row["count"] for row in found] == [500, 500, 200]


@pytest.fixture(scope="module")
async def quiet(
    servers: SimpleNamespace, members: Members, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stand]:
    """A privacy whose jobs and consumers do not run: only what a test calls speaks to its database."""
    folder = tmp_path_factory.mktemp("quiet")
    async with privacy_standing(servers, members, folder=folder, worker=False) as stand:
        assert len(SERVICES) == 5
        await stand.rows(
            "INSERT INTO participant (name, kind, broker_user, deadline_days, active, registered_at)"
            " SELECT 'crm-' || n, 'partner', 'crm-' || n, 30, true, now()"
            " FROM generate_series(1, 6) n"
        )
        await stand.rows("UPDATE participant SET active = false WHERE kind = 'service'")
        yield stand


@contextmanager
def counted(stand: Stand) -> Iterator[list[str]]:
    """The statements of this process on the stand's engine; one with many rows counts for each."""
    seen: list[str] = []

    def note(_: Any, __: Any, statement: str, rows: Any, ___: Any, many: Any) -> None:
        seen.extend([statement] * (len(rows) if many else 1))

    engine = stand.runtime.db.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def a_whole_erasure(stand: Stand, people: int) -> dict[str, int]:
    """Take so many people from their wish to their certificate; statements by stage."""
    wishes = [
        AccountLocked(account_id=new_id(), erasure_id=new_id(), requested_at=clock.now())
        for _ in range(people)
    ]
    db, spent = stand.runtime.db, {}
    with counted(stand) as seen:
        async with db.transaction() as session:
            await on_accounts_locked(session, wishes)
        spent["wishes"] = len(seen)
    with counted(stand) as seen:
        async with db.transaction() as session:
            batch = await broadcasts.waiting(session)
            sealed = {erasure.erasure_id: b"sealed" for erasure in batch}
            broadcast = await broadcasts.reserve(session, batch=batch, sealed=sealed)
        async with db.transaction() as session:
            await broadcasts.send(
                session, position=broadcast.position, entry_hash=broadcast.entry_hash
            )
        spent["broadcast"] = len(seen)
    assert len(batch) == people
    with counted(stand) as seen:
        for number in range(1, 7):
            await answer(stand, f"crm-{number}", broadcast, [one.erasure_id for one in batch])
        spent["answers"] = len(seen)
    with counted(stand) as seen:
        done = await certify(stand)
        spent["certificates"] = len(seen)
    assert done == people
    return spent


async def certify(stand: Stand) -> int:
    async with stand.runtime.db.transaction() as session:
        return await certificates.complete(
            session,
            key=certificate_key(stand.settings.secrets_dir / "certificates.pem"),
            issuer="http://platform.example",
            backup_days=35,
            log_days=180,
        )


async def answer(stand: Stand, participant: str, broadcast: Any, erasure_ids: list[UUID]) -> None:
    async with stand.runtime.db.transaction() as session:
        await answers.acknowledge_as_partner(
            session,
            PartnerAcknowledged(
                position=broadcast.position,
                entry_hash=broadcast.entry_hash,
                subjects=tuple(
                    PartnerSubject(erasure_id=one, outcome="erased") for one in erasure_ids
                ),
            ),
            sender=participant,
        )


async def test_five_hundred_people_and_six_participants_cost_no_more_statements_than_one_person(
    quiet: Stand,
) -> None:
    await quiet.rows("SELECT 1")
    alone = await a_whole_erasure(quiet, 1)
    together = await a_whole_erasure(quiet, 500)
    assert together == alone
    assert together["wishes"] <= 4, together
    assert together["broadcast"] <= 15, together
    assert together["answers"] <= 6 * 6, together
    assert together["certificates"] <= 9, together


async def test_who_waits_to_be_forgotten_goes_before_last_messages_but_not_for_long(
    quiet: Stand,
) -> None:
    db = quiet.runtime.db

    async def may_go() -> bool:
        async with db.transaction() as session:
            return await last_messages.next_due(session) is not None

    await a_whole_erasure(quiet, 1)
    assert await may_go()
    async with db.transaction() as session:
        await wish(session)
    assert not await may_go()
    try:
        clock.shift(timedelta(seconds=61))
        assert await may_go()
        clock.shift(timedelta(0))
        async with db.transaction() as session:
            batch = await broadcasts.waiting(session)
            sent = await broadcasts.reserve(session, batch=batch, sealed={})
        assert not await may_go()
        async with db.transaction() as session:
            await broadcasts.send(session, position=sent.position, entry_hash=sent.entry_hash)
        assert not await may_go()
        clock.shift(timedelta(seconds=6))
        async with db.transaction() as session:
            assert await broadcasts.chase(session) == 1
        clock.shift(timedelta(0))
        assert await may_go(), "one that nobody answers for holds nobody's message back"
    finally:
        clock.shift(timedelta(0))
    for number in range(1, 7):
        await answer(quiet, f"crm-{number}", sent, [one.erasure_id for one in batch])
    assert await certify(quiet) == 1


async def wish(session: AsyncSession) -> None:
    await broadcasts.request_erasure(
        session,
        erasure_id=new_id(),
        subject_id=new_id(),
        reason=Reason.SELF_SERVICE,
        requested_at=clock.now(),
    )


async def test_a_person_who_asks_twice_in_one_crowd_has_one_erasure_and_both_find_it(
    quiet: Stand,
) -> None:
    person, other = new_id(), new_id()
    crowd = [
        AccountLocked(account_id=one, erasure_id=new_id(), requested_at=clock.now())
        for one in (person, other, person, person)
    ]
    async with quiet.runtime.db.transaction() as session:
        await on_accounts_locked(session, crowd)
        await on_accounts_locked(session, crowd)  # told again
    asked = [one.erasure_id for one in crowd]
    kept = await quiet.rows(
        "SELECT erasure_id FROM erasure WHERE subject_id = ANY($1)", [person, other]
    )
    assert {row["erasure_id"] for row in kept} == {asked[0], asked[1]}
    followed = await quiet.rows(
        "SELECT alias_id, erasure_id FROM erasure_alias WHERE alias_id = ANY($1)", asked
    )
    assert {(row["alias_id"], row["erasure_id"]) for row in followed} == {
        (asked[2], asked[0]),
        (asked[3], asked[0]),
    }
    await quiet.rows("DELETE FROM erasure_alias WHERE alias_id = ANY($1)", asked)
    await quiet.rows("DELETE FROM erasure WHERE erasure_id = ANY($1)", asked)


async def test_who_is_named_in_the_entry_and_has_no_step_stops_this_certificate_and_no_other(
    quiet: Stand,
) -> None:
    db = quiet.runtime.db
    async with db.transaction() as session:
        for _ in range(2):
            await wish(session)
    async with db.transaction() as session:
        batch = await broadcasts.waiting(session)
        sent = await broadcasts.reserve(session, batch=batch, sealed={})
    async with db.transaction() as session:
        await broadcasts.send(session, position=sent.position, entry_hash=sent.entry_hash)
    lost, kept = batch[0].erasure_id, batch[1].erasure_id
    gone = "DELETE FROM step WHERE erasure_id = $1 AND participant = 'crm-6'"
    await quiet.rows(gone, lost)
    for number in range(1, 6):
        await answer(quiet, f"crm-{number}", sent, [lost, kept])
    await answer(quiet, "crm-6", sent, [kept])
    assert await certify(quiet) == 1
    certified = "SELECT erasure_id FROM erasure WHERE position = $1 AND completed_at IS NOT NULL"
    assert [row["erasure_id"] for row in await quiet.rows(certified, sent.position)] == [kept]
    async with db.transaction() as session:
        await broadcasts.freeze(session, position=sent.position, now=clock.now())
    await answer(quiet, "crm-6", sent, [lost])
    assert await certify(quiet) == 1


async def test_escalating_three_thousand_steps_is_one_statement(quiet: Stand) -> None:
    async with quiet.runtime.db.transaction() as session:
        for _ in range(500):
            await wish(session)
        batch = await broadcasts.waiting(session)
        await broadcasts.reserve(session, batch=batch, sealed={})
    try:
        clock.shift(timedelta(days=8))
        with counted(quiet) as seen:
            async with quiet.runtime.db.transaction() as session:
                looked_at, told = await escalations.escalate(session)
        assert (looked_at, told, len(seen)) == (3000, 3000, 1)
        async with quiet.runtime.db.transaction() as session:
            assert await escalations.escalate(session) == (0, 0)
    finally:
        clock.shift(timedelta(0))
