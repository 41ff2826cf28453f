"""A sweep costs what is due, not what exists."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql

from services.privacy.queries.retention import erasure_batch, warning_batch
from services.privacy.reference.retention import rules
from tests.retention.years import RULE, Years

TODAY = date(2041, 3, 1)
DUE = 1000
_ADD = """
    WITH people AS (INSERT INTO data_subject (id)
                    SELECT gen_random_uuid() FROM generate_series(1, $1::int) RETURNING id)
    INSERT INTO retention (person_id, opened_on, warnings, until, joined_on, holds_role)
    SELECT id, $2::date - (random() * 100)::int, $3::int, $4::date,
           CASE WHEN $5::boolean THEN $2::date END, false FROM people
"""


async def test_a_thousand_due_cost_the_same_among_ten_times_as_many(years: Years) -> None:
    rule = rules()[RULE]
    batches = {
        "first": warning_batch(rule, number=0, day=TODAY, limit=500),
        "second": warning_batch(rule, number=1, day=TODAY, limit=500),
        "erasure": erasure_batch(rule, day=TODAY, after=None, limit=500),
    }
    old, young = TODAY - timedelta(days=300), TODAY - timedelta(days=10)
    soon, later = TODAY - timedelta(days=1), TODAY + timedelta(days=25)
    for warnings, until in ((0, None), (1, soon), (2, soon)):
        await years.stand.rows(_ADD, DUE, old, warnings, until, False)
    costs: dict[str, list[int]] = {name: [] for name in batches}
    for others in (10_000, 90_000):
        # Members, newcomers, and people who were warned and have time.
        await years.stand.rows(_ADD, others * 8 // 10, old, 0, None, True)
        await years.stand.rows(_ADD, others // 10, young, 0, None, False)
        await years.stand.rows(_ADD, others // 10, old, 1, later, False)
        await years.stand.rows("VACUUM ANALYZE retention")
        for name, batch in batches.items():
            costs[name].append(await buffers(years, batch))
    for name, (few, many) in costs.items():
        assert many <= few * 1.5, f"{name}: {few} pages among 13,000, {many} among 103,000"


async def buffers(years: Years, batch: Any) -> int:
    """Pages that the batch reads to find its accounts by the index that was made for it."""
    sql = batch.compile(
        dialect=postgresql.dialect(),  # type: ignore[no-untyped-call]
        compile_kwargs={"literal_binds": True},
    )
    async with years.stand.runtime.db.transaction() as session:
        # A table this small may be read whole or by pages instead; what grows is the question.
        for way in ("seqscan", "bitmapscan"):
            await session.execute(text(f"SET LOCAL enable_{way} = off"))
        plan = await session.scalar(text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}"))
    top = plan[0]["Plan"]
    assert top["Actual Rows"] == 500
    # Whether PostgreSQL probes or hashes the few erasures under way is its own affair.
    [scan] = [node for node in nodes(top) if node.get("Relation Name") == "retention"]
    assert scan.get("Index Name", "").startswith("ix_retention_"), scan
    return int(scan["Shared Hit Blocks"] + scan["Shared Read Blocks"])


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from nodes(child)


@pytest.fixture(autouse=True)
async def _as_it_was(years: Years) -> Any:
    yield
    await years.stand.rows("TRUNCATE retention")
