"""Erasure tried with somebody who does not exist: finds what nobody declared, and leaves no trace."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest
import structlog
from prometheus_client import REGISTRY
from structlog.testing import LogCapture

from chassis import clock, jobs, rehearsal
from chassis.erasure import Eraser
from chassis.rehearsal import Rehearsal, RehearsingError
from tests.erasure.shelf import Shelf


async def rehearsed(shelf: Shelf, eraser: Eraser | None = None) -> Rehearsal:
    async with shelf.db.transaction() as session:
        return await rehearsal.rehearse(session, eraser or shelf.eraser, by=None)


async def found(shelf: Shelf, word: str) -> tuple[list[str], list[str]]:
    async with shelf.db.transaction() as session:
        return await rehearsal.search(session, word, until=time.monotonic() + 30)


async def test_each_service_forgets_somebody_in_every_table_and_nothing_is_kept(
    shelf: Shelf,
) -> None:
    await shelf.fill()
    before = await shelf.everything()
    told = await rehearsed(shelf)
    await shelf.sql("DELETE FROM operator_action WHERE action = 'erasure.rehearse'")
    assert told.holds, told
    assert not told.impossible
    assert told.rows.keys() >= set(shelf.catalogue.tables())
    assert told.columns
    assert await shelf.everything() == before


async def test_what_a_rule_of_the_service_forgot_is_found(own: Shelf) -> None:
    async def lets_go(session, people, tallies) -> None:  # type: ignore[no-untyped-def]
        """Names nobody any more, and says everything still."""
        for person in people:
            statement = "UPDATE house SET owner_id = NULL WHERE owner_id = $1"
            connection = await session.connection()
            done = await connection.exec_driver_sql(statement, (person,))
            tallies[person]["house"].detached += done.rowcount

    forgetful = replace(own.eraser, rules=dict.fromkeys(own.eraser.rules, lets_go))
    told = await rehearsed(own, forgetful)
    assert told.left == ["house.name"]
    assert not told.holds


async def test_what_stands_in_the_way_is_said_and_undone(own: Shelf) -> None:
    await own.sql(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO attic VALUES (OLD.words); RETURN OLD; END'",
        "CREATE TABLE attic (words text)",
        "CREATE TRIGGER keep BEFORE DELETE ON letter FOR EACH ROW EXECUTE FUNCTION keep()",
    )
    told = await rehearsed(own)
    assert told.trouble
    assert told.trouble.startswith("SchemaMismatchError")
    assert "attic" in told.trouble
    assert not told.holds


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", "'a {word} b'"),
        ("text", "upper('{word}')"),
        ("varchar(40)", "'{word}'"),
        ("jsonb", """'{{"deep": [{{"{word}": 1}}]}}'"""),
        ("text[]", "ARRAY['x', '{word}']"),
        ("bytea", "convert_to('{word}', 'UTF8')"),
        ("tsvector", "to_tsvector('simple', '{word}')"),
    ],
)
async def test_a_word_is_found_in_whatever_holds_it(own: Shelf, kind: str, value: str) -> None:
    word = f"zq{secrets.token_hex(4)}"  # as a rehearsal's: 1e5 would be a number in a search vector
    await own.sql(
        f'CREATE TABLE attic (id int, "strange: name" {kind})',
        f"INSERT INTO attic VALUES (1, NULL), (2, {value.format(word=word)})",
    )
    assert await found(own, word) == (["attic.strange: name"], [])
    assert await found(own, secrets.token_hex(4)) == ([], [])


async def test_a_word_is_found_in_another_schema_a_partition_and_a_stored_view(own: Shelf) -> None:
    word = secrets.token_hex(4)
    await own.sql(
        "CREATE SCHEMA cellar",
        "CREATE TABLE cellar.box (words text)",
        f"INSERT INTO cellar.box VALUES ('{word}')",
        "CREATE TABLE parted (words text) PARTITION BY LIST (words)",
        "CREATE TABLE part PARTITION OF parted DEFAULT",
        f"INSERT INTO parted VALUES ('{word}')",
        "CREATE MATERIALIZED VIEW stored AS SELECT words AS copied FROM cellar.box",
    )
    assert await found(own, word) == (["cellar.box.words", "parted.words", "stored.copied"], [])


async def test_what_may_not_be_read_is_named(own: Shelf) -> None:
    async with own.as_owner() as service:
        await own.sql("CREATE TABLE attic (words text)")
        assert await found(service, secrets.token_hex(4)) == ([], ["attic"])


async def test_a_table_that_takes_too_long_is_no_success(own: Shelf) -> None:
    connection = await asyncpg.connect(own.db.url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE house IN ACCESS EXCLUSIVE MODE")
            async with own.db.transaction() as session:
                told = await rehearsal.rehearse(session, own.eraser, by=None, seconds=0.5)
    finally:
        await connection.close()
    assert (told.holds, told.trouble) == (False, "PostgreSQL 57014")


async def test_one_at_a_time(own: Shelf) -> None:
    connection = await asyncpg.connect(own.db.url)
    try:
        async with connection.transaction():
            await connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended('rehearsal', 0))"
            )
            with pytest.raises(RehearsingError):
                await asyncio.wait_for(rehearsed(own), 10)
    finally:
        await connection.close()
    assert (await rehearsed(own)).holds


# --- by night


@pytest.fixture
async def night(own: Shelf) -> AsyncIterator[Callable[..., Awaitable[list[bool]]]]:
    """Runs the clock's job at that hour of a winter's day; returns what all rehearsals so far said."""

    async def at(hour: int, *, day: int = 1, begins: int | None = 3) -> list[bool]:
        instant = datetime(2031, 1, day, hour, 30, tzinfo=ZoneInfo("Europe/Paris"))
        clock.rehearse(instant - (clock.now() - clock.rehearsed()))
        runtime = SimpleNamespace(
            db=own.db, eraser=own.eraser, settings=SimpleNamespace(rehearsal_hour=begins)
        )
        await jobs.rehearse_by_night(runtime)  # type: ignore[arg-type]
        async with own.db.engine.connect() as connection:
            rows = await connection.exec_driver_sql(
                "SELECT person_id, about FROM operator_action ORDER BY id"
            )
            found = rows.all()
        assert not [row for row in found if row.person_id is not None]
        return [row.about["holds"] for row in found]

    yield at
    clock.rehearse(timedelta(0))


async def test_the_clock_rehearses_once_a_night(night: Callable[..., Any]) -> None:
    assert await night(2) == []
    assert await night(3) == [True]
    assert await night(5) == [True]
    assert await night(12, day=2) == [True]
    assert await night(5, day=2) == [True, True]  # the worker was away at three


async def test_an_hour_before_midnight_reaches_into_the_next_day(night: Callable[..., Any]) -> None:
    assert await night(22, begins=23) == []
    assert await night(1, begins=23) == [True]
    assert await night(2, begins=23, day=3) == [True]


async def test_where_no_hour_is_set_the_clock_rehearses_never(night: Callable[..., Any]) -> None:
    assert [await night(hour, begins=None) for hour in range(24)] == [[]] * 24


async def test_what_came_of_it_is_told_by_any_process(
    own: Shelf, night: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sampled() -> dict[str, float | None]:
        async with own.db.transaction() as session:
            await rehearsal.sample(session)
        return {
            name: REGISTRY.get_sample_value(f"ccib_rehearsal_{name}", {"service": own.db.service})
            for name in ("timestamp_seconds", "left", "holds")
        }

    began = time.time()
    first = (await sampled())["timestamp_seconds"]
    assert first is not None
    assert abs(first - began) < 60  # due since now
    assert await night(3) == [True]
    told = await sampled()
    instant = datetime(2031, 1, 1, 3, 30, tzinfo=ZoneInfo("Europe/Paris")).timestamp()
    assert told.pop("timestamp_seconds") == pytest.approx(instant, abs=60)
    assert told == {"left": 0, "holds": 1}
    await own.sql(
        "CREATE TABLE attic (words text)",
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO attic VALUES (OLD.words); RETURN OLD; END'",
    )
    await own.sql(
        "CREATE TRIGGER keep BEFORE DELETE ON letter FOR EACH ROW EXECUTE FUNCTION keep()"
    )
    said = LogCapture()  # of this logger alone: what others configured before does not matter
    monkeypatch.setattr(jobs, "logger", structlog.wrap_logger(None, processors=[said]))
    assert await night(3, day=2) == [True, False]
    assert (await sampled())["holds"] == 0
    [failed] = said.entries
    assert failed["event"] == "rehearsal_fails"
    assert "attic" in failed["trouble"]
