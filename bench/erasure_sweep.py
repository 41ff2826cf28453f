"""What a retention sweep costs when ten times as many accounts exist and as many are due."""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from statistics import median
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from bench.erasure_platform import make_database
from bench.figures import Figure, Goal, Ground, Measure, Side, Stopwatch, in_turns
from chassis import clock
from chassis.db import Database
from services.privacy.actions import retention
from services.privacy.models import RetentionRun
from services.privacy.models.retention import RunState
from services.privacy.queries.retention import due, today
from services.privacy.reference.retention import Rule, rules

DUE, FEW, MANY = 1_000, 30_000, 300_000
_ADD = """
    WITH people AS (INSERT INTO data_subject (id)
                    SELECT gen_random_uuid() FROM generate_series(1, $1::int) RETURNING id)
    INSERT INTO retention (person_id, opened_on, warnings, until, joined_on, holds_role)
    SELECT id, $2::date - (random() * 100)::int, $3::int, $4::date,
           CASE WHEN $5::boolean THEN $2::date END, false FROM people
"""


class _UndoneError(Exception):
    """Ends a transaction whose work was measured and is not wanted."""


async def sweep(ground: Ground) -> Sequence[Figure]:
    """A whole run: select, ask for warnings and erasures; 1,000 of each are due."""
    few, many = (ground.size(FEW), ground.size(MANY))
    databases = {count: await _database(ground, count) for count in (few, many)}
    sides: dict[str, Side] = {
        "measured": lambda: _run(databases[many]),
        "reference": lambda: _run(databases[few]),
    }
    try:
        for side in sides.values():
            await side()  # the first one reads what the others find in memory
        rounds = await in_turns(ground.rounds, **sides)
    finally:
        for db in databases.values():
            await db.dispose()
    return [
        Figure(
            name=f"retention sweep, {DUE:,} due among {many:,}",
            unit="ms",
            measured=median(rounds["measured"]),
            reference=median(rounds["reference"]),
            reference_name=f"the same among {few:,}",
            goal=Goal(of="ratio", at_most=1.5),
            rounds=rounds,
        )
    ]


async def _run(db: Database) -> float:
    """Milliseconds of one run, which is undone afterwards so that the next one finds the same."""
    [rule] = [one for one in rules().values() if one.active][:1]
    warned = erased = 0
    watch = Stopwatch()
    try:
        async with db.transaction() as session:
            warned, erased = await _carry_out(session, rule)
            raise _UndoneError
    except _UndoneError:
        taken = watch.seconds * 1e3
    if (warned, erased) != (2 * DUE, DUE):
        raise RuntimeError(f"warned {warned}, erased {erased}")
    return taken


async def _carry_out(session: AsyncSession, rule: Rule) -> tuple[int, int]:
    found = await due(session, rule=rule, as_of=today())
    run = RetentionRun(
        rule=rule.id,
        day=today(),
        by_hand=False,
        state=RunState.RUNNING,
        due_warnings=sum(found.warnings),
        due_erasures=found.erasures,
        started_at=clock.now(),
        most_warnings=0,
        most_erasures=0,
        warned=0,
        erased=0,
        spared=0,
    )
    session.add(run)
    await session.flush()
    while await retention.warn(session, run=run, rule=rule):
        pass
    after: Any = None
    while after := await retention.erase(session, run=run, rule=rule, after=after):
        pass
    return run.warned, run.erased


async def _database(ground: Ground, accounts: int) -> Database:
    """Members, newcomers, people who were warned and have time, and those who are due."""
    url = await make_database(ground.servers, f"b{secrets.token_hex(4)}_privacy", "privacy")
    day = today()
    old, young = day - timedelta(days=300), day - timedelta(days=10)
    soon, later = day - timedelta(days=1), day + timedelta(days=25)
    connection = await asyncpg.connect(url)
    try:
        for warnings, until in ((0, None), (1, soon), (2, soon)):
            await connection.execute(_ADD, DUE, old, warnings, until, False)
        await connection.execute(_ADD, accounts * 8 // 10, old, 0, None, True)
        await connection.execute(_ADD, accounts // 10, young, 0, None, False)
        await connection.execute(_ADD, accounts // 10, old, 1, later, False)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
    return Database(url, service="privacy")


FIGURES: Sequence[Measure] = (sweep,)
