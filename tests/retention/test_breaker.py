"""What is unusual stops before it does anything, until the DPO confirms that very run (E22)."""

import asyncio
from datetime import date, timedelta
from uuid import UUID

import pytest

from chassis import clock, outbox
from chassis.auth import Role
from chassis.ids import new_id
from tests.mailbox import Mailbox
from tests.retention.years import RULE, Data, Years, problem

TODAY = date(2040, 5, 10)
LONG_AGO = date(2039, 1, 1)


@pytest.fixture
async def crowd(years: Years) -> int:
    """More accounts than usual whose first warning is due."""
    years.go_to(TODAY)
    await accounts(years, 60, opened_on=LONG_AGO)
    return 60


async def accounts(years: Years, count: int, **facts: object) -> None:
    names = "".join(f", {name}" for name in facts)
    values = "".join(f", ${place}" for place in range(2, 2 + len(facts)))
    await years.stand.rows(
        "WITH people AS (INSERT INTO data_subject (id)"
        " SELECT gen_random_uuid() FROM generate_series(1, $1) RETURNING id)"
        f" INSERT INTO retention (person_id, holds_role{names}"
        f"{'' if 'warnings' in facts else ', warnings'})"
        f" SELECT id, false{values}{'' if 'warnings' in facts else ', 0'} FROM people",
        count,
        *facts.values(),
    )


async def untouched(years: Years, run: Data) -> None:
    """A held run has warned nobody and erased nobody."""
    assert (run["warned"], run["erased"], run["spared"]) == (0, 0, 0)
    asked = "SELECT 1 FROM retention WHERE warning_id IS NOT NULL OR warnings > 0"
    assert await years.stand.rows(asked) == []


async def test_more_people_than_usual_wait_for_the_dpo_and_nobody_else(
    years: Years, crowd: int, post: Mailbox
) -> None:
    run = await years.run(TODAY, state="held")
    assert (run["cause"], run["due_warnings"], run["most_warnings"]) == ("volume", crowd, 50)
    await untouched(years, run)
    dpo = years.stand.settings.dpo_address
    for _ in range(500):
        if mails := [m for m in post.to(dpo) if run["id"] in m.get_content()]:
            break
        await asyncio.sleep(0.02)
    assert f"{crowd} (au plus 50" in mails[0].get_content()
    path = f"retention/runs/{run['id']}/confirmation"
    for headers, status in (
        ({}, 401),
        (years.stand.token(new_id()), 403),
        (years.stand.token(new_id(), roles=[Role.OPERATOR, Role.AGENT, Role.BUYER]), 403),
        (years.stand.token(scopes=["identity:addresses"]), 403),
    ):
        assert (await years.call("POST", path, headers=headers)).status_code == status
    other = await years.call("POST", f"retention/runs/{new_id()}/confirmation")
    assert problem(other) == (404, "not-found")

    await accounts(years, 5, opened_on=LONG_AGO)  # nobody confirmed these
    assert (await years.confirm(run)).status_code == 202
    done = await years.finished(run)
    assert (done["warned"], done["due_warnings"]) == (crowd, crowd)
    assert done["confirmed_at"]
    assert problem(await years.confirm(run)) == (409, "retention-run-not-held")
    left = await years.stand.rows("SELECT count(*) AS n FROM retention WHERE warning_id IS NULL")
    assert left[0]["n"] == 5
    actions = await years.stand.rows(
        "SELECT action, about FROM operator_action ORDER BY done_at DESC LIMIT 1"
    )
    assert len([m for m in post.to(dpo) if run["id"] in m.get_content()]) == 1
    assert actions[0]["action"] == "retention.confirm"
    assert run["id"] in actions[0]["about"]


async def test_a_run_that_nobody_confirms_gives_way_to_the_next_day(
    years: Years, crowd: int
) -> None:
    held = await years.run(TODAY, state="held")
    tomorrow = await years.run(TODAY + timedelta(days=1), state="held")
    assert tomorrow["id"] != held["id"]
    await untouched(years, tomorrow)
    assert (await years.finished(held))["state"] == "superseded"
    assert problem(await years.confirm(held)) == (409, "retention-run-not-held")
    await years.stand.rows(
        "DELETE FROM retention WHERE person_id IN (SELECT person_id FROM retention LIMIT 20)"
    )
    assert (await years.run(TODAY + timedelta(days=2)))["warned"] == crowd - 20


async def test_what_is_usual_grows_with_what_happens(years: Years) -> None:
    years.go_to(TODAY)
    for place, count in enumerate((50, 50)):
        await accounts(years, count, opened_on=LONG_AGO)
        await years.run(TODAY + timedelta(days=place))
    await accounts(years, 140, opened_on=LONG_AGO)
    run = await years.run(TODAY + timedelta(days=2))
    assert (run["warned"], run["most_warnings"]) == (140, 150)
    # Deletions have their own measure.
    facts = {"warnings": 2, "until": TODAY}
    await accounts(years, 51, opened_on=LONG_AGO, **facts)
    run = await years.run(TODAY + timedelta(days=3), state="held")
    assert (run["cause"], run["due_erasures"], run["most_erasures"]) == ("volume", 51, 50)
    assert (
        await years.stand.rows("SELECT 1 FROM erasure e JOIN retention r ON subject_id = person_id")
        == []
    )


async def test_after_a_restore_nothing_happens_until_the_dpo_has_said_so(years: Years) -> None:
    years.go_to(TODAY)
    await accounts(years, 3, opened_on=LONG_AGO)
    async with years.stand.runtime.db.transaction() as session:
        await outbox.raise_epoch(session)
    try:
        for days in (0, 1):
            held = await years.run(TODAY + timedelta(days=days), state="held")
            assert held["cause"] == "restored"
            await untouched(years, held)
        assert (await years.confirm(held)).status_code == 202
        await years.finished(held)
        assert (await years.run(TODAY + timedelta(days=2)))["cause"] is None
    finally:
        await years.stand.rows("DELETE FROM aggregate_sequence WHERE aggregate = 'epoch'")


async def test_a_clock_that_jumps_ahead_deletes_nobody_and_cannot_be_confirmed(
    years: Years,
) -> None:
    years.go_to(TODAY)
    await accounts(years, 3, opened_on=TODAY - timedelta(days=20))
    await accounts(years, 3, opened_on=LONG_AGO, warnings=2, until=TODAY + timedelta(days=20))
    await years.run(TODAY)
    clock.shift(timedelta(days=400))
    # Alone with its wrong clock: the directory has not told of any later day.
    job = next(job for job in years.stand.runtime.service.jobs if job.name == "retention")
    await job.run(years.stand.runtime)
    [run] = await years.runs()
    assert run["state"] == "finished"
    # The directory's clock is wrong, too, as on one machine.
    await years.hear()
    run = await years.held()
    assert (run["cause"], run["due_warnings"], run["due_erasures"]) == ("clock-jumped", 3, 3)
    await untouched_erasures(years)

    clock.shift(timedelta(0))
    assert problem(await years.confirm(run)) == (422, "retention-in-the-future")
    await untouched_erasures(years)
    next_day = await years.run(TODAY + timedelta(days=1))
    assert (next_day["cause"], next_day["erased"]) == (None, 0)
    assert (await years.finished(run))["state"] == "superseded"


async def untouched_erasures(years: Years) -> None:
    named = "SELECT 1 FROM erasure JOIN retention ON subject_id = person_id"
    assert await years.stand.rows(named) == []


async def test_a_clock_that_is_set_back_stops_the_next_run(years: Years) -> None:
    years.go_to(TODAY)
    await accounts(years, 3, opened_on=LONG_AGO)
    await years.run(TODAY)
    clock.shift(timedelta(days=-30))
    await years.hear()
    run = await years.held()
    assert (run["cause"], run["warned"]) == ("clock-jumped", 0)
    # A process that began with the wrong clock knows from the last run.
    clock.shift(timedelta(0))
    run = await years.run(TODAY - timedelta(days=29), state="held")
    assert run["cause"] == "clock-backwards"


async def test_a_clock_that_was_wrong_from_the_beginning_disagrees_with_the_database(
    years: Years, monkeypatch: pytest.MonkeyPatch
) -> None:
    years.go_to(TODAY)
    await accounts(years, 3, opened_on=LONG_AGO)
    began, steady = clock._BEGAN
    monkeypatch.setattr(clock, "_BEGAN", (began + timedelta(hours=2), steady))
    clock.shift(timedelta(hours=2))
    await years.hear()
    run = await years.held()
    assert run["cause"] == "clocks-disagree"
    await untouched(years, run)


async def test_a_run_by_hand_goes_by_a_day_that_has_begun(years: Years) -> None:
    years.go_to(TODAY)
    await accounts(years, 3, opened_on=LONG_AGO)
    path = "retention/runs"
    unheard = await years.call("POST", path, json={"rule": RULE})
    assert problem(unheard) == (422, "retention-in-the-future")
    await years.run(TODAY)
    await accounts(years, 4, opened_on=LONG_AGO)
    for body, expected in (
        ({"rule": RULE, "as_of": str(TODAY + timedelta(days=1))}, (422, "retention-in-the-future")),
        ({"rule": "no-such-rule"}, (404, "not-found")),
        ({"rule": RULE, "as_of": "31/12/2039"}, (422, "invalid-input")),
        ({"rule": RULE, "really": True}, (422, "invalid-input")),
        ({}, (422, "invalid-input")),
    ):
        assert problem(await years.call("POST", path, json=body)) == expected, body
    stranger = years.stand.token(new_id(), roles=[Role.OPERATOR])
    refused = await years.call("POST", path, json={"rule": RULE}, headers=stranger)
    assert refused.status_code == 403

    yesterday = {"rule": RULE, "as_of": str(TODAY - timedelta(days=1))}
    started = await years.call("POST", path, json=yesterday)
    assert started.status_code == 202, started.text
    run = await years.finished(started.json())
    assert (run["by_hand"], run["warned"], run["day"]) == (True, 4, yesterday["as_of"])
    # A day of the past shortens nobody's notice.
    row = (await years.stand.rows("SELECT person_id FROM retention WHERE warning_id IS NOT NULL"))[
        0
    ]
    [warning] = years.warnings(row["person_id"])
    assert date.fromisoformat(warning["kept_until"]) == TODAY + timedelta(days=30)


async def test_a_run_by_hand_passes_the_breaker_too_and_there_is_one_at_a_time(
    years: Years, crowd: int
) -> None:
    held = await years.run(TODAY, state="held")
    again = await years.call("POST", "retention/runs", json={"rule": RULE})
    assert problem(again) == (409, "retention-run-open")
    assert (await years.confirm(held)).status_code == 202
    await years.finished(held)
    await accounts(years, crowd, opened_on=LONG_AGO)
    answers = [(await years.call("POST", "retention/runs", json={"rule": RULE})) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 409]
    assert (answers[0].json()["state"], answers[0].json()["cause"]) == ("held", "volume")


async def test_a_plan_looks_at_any_day_and_does_nothing(years: Years) -> None:
    years.go_to(TODAY)
    await accounts(years, 25, opened_on=LONG_AGO)
    await accounts(years, 3, opened_on=LONG_AGO, warnings=1, until=TODAY + timedelta(days=9))
    await accounts(years, 2, opened_on=LONG_AGO, warnings=2, until=TODAY - timedelta(days=1))
    await accounts(years, 4, opened_on=LONG_AGO, joined_on=LONG_AGO)
    await accounts(years, 5, opened_on=TODAY - timedelta(days=10))
    expected = {
        TODAY: ([25, 0], 2),
        TODAY + timedelta(days=2): ([25, 3], 2),
        TODAY + timedelta(days=10): ([25, 3], 5),
        TODAY + timedelta(days=23): ([25, 28], 5),
        TODAY + timedelta(days=30): ([25, 28], 5),
        TODAY + timedelta(days=31): ([25, 28], 30),
        TODAY + timedelta(days=400): ([30, 33], 35),
        TODAY - timedelta(days=1): ([25, 0], 0),
    }
    for day, (warnings, erasures) in expected.items():
        plan = await years.get("retention/plan", rule=RULE, as_of=day, limit=100)
        assert plan["due"] == {"warnings": warnings, "erasures": erasures}, day
    seen: list[Data] = []
    after: dict[str, str] = {}
    while True:
        page = await years.get("retention/plan", rule=RULE, as_of=TODAY, limit=10, **after)
        seen += page["items"]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert len({UUID(one["person_id"]) for one in seen}) == len(seen) == 27
    assert [one["next"] for one in seen] == ["erasure"] * 2 + ["warning"] * 25
    assert seen[-1]["kept_until"] == (TODAY + timedelta(days=30)).isoformat()
    assert await years.runs() == []
    await years.stand.rows("UPDATE retention SET warnings = 0, until = NULL")
    await untouched(years, {"warned": 0, "erased": 0, "spared": 0})


async def test_the_dpo_sees_what_each_rule_does_next_week_and_why(years: Years) -> None:
    years.go_to(TODAY)
    await accounts(years, 2, opened_on=LONG_AGO, warnings=2, until=TODAY + timedelta(days=3))
    await accounts(years, 1, opened_on=LONG_AGO)
    [rule] = await years.get("retention/rules")
    assert (rule["id"], rule["promise"], rule["heard_until"]) == (RULE, "N3.1", None)
    assert rule["due_today"] == {"warnings": [1, 0], "erasures": 0}
    assert rule["due_next_week"] == {"warnings": [1, 0], "erasures": 2}
    assert "six mois" in rule["description"]
    await years.run(TODAY)
    [rule] = await years.get("retention/rules")
    assert (rule["heard_until"], rule["warnings_on_their_way"]) == (TODAY.isoformat(), 1)


@pytest.mark.parametrize(
    "path",
    [
        "retention/rules",
        f"retention/plan?rule={RULE}",
        "retention/runs",
        f"retention/runs/{UUID(int=7)}",
    ],
)
async def test_retention_is_the_dpos_business(years: Years, path: str) -> None:
    for headers, status in (
        ({}, 401),
        (years.stand.token(new_id()), 403),
        (years.stand.token(new_id(), roles=[Role.OPERATOR, Role.AGENT, Role.BUYER]), 403),
        (years.stand.token(scopes=["subjects:read"]), 403),
    ):
        assert (await years.call("GET", path, headers=headers)).status_code == status


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"rule": "no-such-rule"}, (404, "not-found")),
        ({"rule": "x" * 41}, (422, "invalid-input")),
        ({"rule": "\x00"}, (404, "not-found")),
        ({}, (422, "invalid-input")),
        ({"rule": RULE, "as_of": "0001-01-01"}, (422, "invalid-input")),
        ({"rule": RULE, "as_of": "9999-12-31"}, (422, "invalid-input")),
        ({"rule": RULE, "as_of": "tomorrow"}, (422, "invalid-input")),
        ({"rule": RULE, "after": "x"}, (422, "invalid-input")),
        ({"rule": RULE, "after": "WzksICIyMDQwLTAxLTAxIiwgIngiXQ"}, (422, "invalid-input")),
        ({"rule": RULE, "limit": "101"}, (422, "invalid-input")),
    ],
    ids=range(10),
)
async def test_a_plan_that_cannot_be_is_refused(
    years: Years, query: dict[str, str], expected: tuple[int, str]
) -> None:
    assert problem(await years.call("GET", "retention/plan", params=query)) == expected


async def test_somebody_of_whom_nothing_is_known_is_kept(years: Years) -> None:
    own = await years.own(new_id())
    assert (own["kept_until"], own["rule"], own["warnings"]) == (None, None, 0)
    assert (await years.call("GET", "me/retention", headers={})).status_code == 401
