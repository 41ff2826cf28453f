"""From the opening of an account to its erasure, to the day (N3.1)."""

from datetime import date, datetime, timedelta
from uuid import UUID

import pytest

from chassis import clock
from chassis.auth import Role
from chassis.ids import new_id
from contracts.directory import MembershipGranted
from contracts.identity import AccountLocked, AccountOpened, RolesChanged
from contracts.notifications import RetentionWarningSettled, WarningOutcome
from services.privacy.models.deadlines import day_of
from tests.privacy.troupe import Troupe, completed
from tests.retention.years import PARIS, Years

ONE_DAY = timedelta(days=1)


async def test_accounts_are_warned_twice_and_erased_to_the_day(years: Years) -> None:
    """Around the end of February of a leap year: four opening days end on the same one."""
    last = date(2028, 2, 29)
    years.go_to(date(2028, 1, 1))
    ends = {
        # The day before, in UTC.
        await years.account(datetime(2027, 8, 29, 0, 30, tzinfo=PARIS)): last,
        await years.account(date(2027, 8, 30)): last,
        await years.account(date(2027, 8, 31)): last,
        await years.account(datetime(2027, 8, 28, 23, 30, tzinfo=PARIS)): last - ONE_DAY,
        await years.account(date(2027, 9, 1)): last + ONE_DAY,
    }
    for person, end in ends.items():
        assert (await years.own(person))["kept_until"] == end.isoformat()

    done = []
    for notice in (30, 7, -1):
        await years.sleepless_until(last - timedelta(days=notice + 1))
        for day in (-1, 0, 1):
            run = await years.run(last + timedelta(days=day - notice))
            await years.deliver()
            done.append((run["warned"], run["erased"]))
    assert done == [(1, 0), (3, 0), (1, 0)] * 2 + [(0, 1), (0, 3), (0, 1)]

    for person, end in ends.items():
        first, second = years.warnings(person)
        assert (first["kept_until"], first["notice_days"]) == (end.isoformat(), 30)
        assert (second["kept_until"], second["notice_days"]) == (end.isoformat(), 7)
        assert first["warning_id"] != second["warning_id"]
        [erasure] = await years.erasures(person)
        assert erasure["reason"] == "retention"
        assert day_of(erasure["requested_at"]) == end + ONE_DAY


async def test_what_is_erased_is_proven_gone_and_never_comes_back(years: Years) -> None:
    last = date(2029, 3, 15)
    person, other = await years.doom(date(2028, 9, 15), last), await years.account(last)
    await years.run(last + ONE_DAY)
    [erasure] = await years.erasures(person)
    await completed(years.stand, erasure["erasure_id"])
    for late in (
        AccountOpened(account_id=person, notice_version="2026-11", opened_at=clock.now()),
        MembershipGranted(
            membership_id=new_id(), person_id=person, company_id=new_id(), community_id=new_id()
        ),
        RolesChanged(account_id=person, holds_role=False),
    ):
        event_id = await years.stand.say(late)
        await years.stand.eventually(
            "SELECT state = 'fenced' FROM inbox WHERE event_id = $1", event_id
        )
    assert await people(years) == {other}


async def people(years: Years) -> set[UUID]:
    return {row["person_id"] for row in await years.stand.rows("SELECT person_id FROM retention")}


@pytest.fixture
async def doomed(years: Years) -> tuple[UUID, date]:
    """Somebody whose last day is today, warned twice; and that day."""
    last = date(2030, 5, 20)
    return await years.doom(date(2029, 11, 20), last), last


async def test_whoever_joins_is_kept_for_good(years: Years, doomed: tuple[UUID, date]) -> None:
    person, last = doomed
    await years.join(person)
    own = await years.own(person)
    assert (own["kept_until"], own["rule"]) == (None, None)
    assert (await years.run(last + ONE_DAY))["erased"] == 0
    await years.live(last + timedelta(days=400))
    assert await years.erasures(person) == []
    assert len(years.warnings(person)) == 2


async def test_whoever_joined_one_minute_before_the_end_is_kept_though_the_news_is_late(
    years: Years, doomed: tuple[UUID, date]
) -> None:
    """The directory has not told of that minute yet: nobody is erased for it."""
    person, last = doomed
    midnight = datetime(last.year, last.month, last.day, tzinfo=PARIS) + ONE_DAY
    years.go_to(midnight + timedelta(hours=3))
    await years.hear(midnight - timedelta(minutes=1))
    await years.stand.runtime.service.jobs[-1].run(years.stand.runtime)
    assert (await years.runs())[0]["day"] == last.isoformat()
    await years.join(person)  # granted at 23:59, told at three
    await years.hear()
    run = await years.run(last + ONE_DAY)
    assert (run["due_erasures"], run["erased"]) == (0, 0)


async def test_a_membership_that_cannot_be_read_spares_whom_it_names(
    years: Years, doomed: tuple[UUID, date]
) -> None:
    """Against its schema, it waits for an operator; until then nobody knows, and nobody goes."""
    person, last = doomed
    event_id = await years.stand.say(
        MembershipGranted.model_construct(membership_id=new_id(), person_id=person)
    )
    await years.stand.eventually("SELECT state = 'parked' FROM inbox WHERE event_id = $1", event_id)
    run = await years.run(last + ONE_DAY)
    assert (run["due_erasures"], run["erased"], run["spared"]) == (1, 0, 1)
    await years.stand.rows("DELETE FROM inbox WHERE event_id = $1", event_id)  # dropped by hand
    assert (await years.run(last + 2 * ONE_DAY))["erased"] == 1


async def test_an_erasure_asked_for_through_another_door_stays_the_only_one(
    years: Years, doomed: tuple[UUID, date], troupe: Troupe
) -> None:
    person, last = doomed
    with troupe.silent("directory") as directory:
        wish = AccountLocked(account_id=person, erasure_id=new_id(), requested_at=clock.now())
        await years.stand.say(wish)
        command = await directory.commanded(wish.erasure_id)
        run = await years.run(last + ONE_DAY)
        assert (run["due_erasures"], run["erased"]) == (0, 0)
        assert [e["erasure_id"] for e in await years.erasures(person)] == [wish.erasure_id]
        await directory.acknowledge(command)
    await completed(years.stand, wish.erasure_id)


async def test_whoever_works_here_is_no_incomplete_account_until_they_do_not(years: Years) -> None:
    years.go_to(date(2031, 6, 1))
    person = await years.account(date(2030, 1, 1))
    await years.stand.say(RolesChanged(account_id=person, holds_role=True))
    await years.known(person, "holds_role")
    assert (await years.run(date(2031, 6, 1)))["warned"] == 0
    assert (await years.own(person))["kept_until"] is None
    await years.stand.say(RolesChanged(account_id=person, holds_role=False))
    await years.known(person, "NOT holds_role")
    assert (await years.run(date(2031, 6, 2)))["warned"] == 1
    assert (await years.own(person))["kept_until"] == "2031-07-02"
    role = years.stand.token(person, roles=[Role.BUYER])
    assert (await years.call("GET", "me/retention", headers=role)).json()["kept_until"] is None


async def test_facts_may_come_in_any_order(years: Years) -> None:
    years.go_to(date(2031, 6, 1))
    member, helper = new_id(), new_id()
    await years.join(member)
    await years.stand.say(RolesChanged(account_id=helper, holds_role=True))
    for person in (member, helper):
        await years.stand.say(
            AccountOpened(
                account_id=person,
                notice_version="2026-11",
                opened_at=datetime(2030, 1, 1, tzinfo=PARIS),
            )
        )
        await years.known(person, "opened_on IS NOT NULL")
    assert (await years.run(date(2031, 6, 1)))["warned"] == 0


async def test_a_platform_that_slept_gives_every_warning_its_time(years: Years) -> None:
    last = date(2032, 4, 10)
    years.go_to(last - timedelta(days=40))
    warned, never = await years.account(date(2031, 10, 10)), await years.account(date(2031, 10, 20))
    await years.run(last - timedelta(days=30))
    await years.deliver()

    awake = last + timedelta(days=30)  # both days have passed meanwhile
    run = await years.run(awake, state="held")
    assert (run["cause"], run["due_warnings"], run["due_erasures"]) == ("long-silence", 2, 0)
    assert (await years.confirm(run)).status_code == 202
    await years.finished(run)
    [_, second] = years.warnings(warned)
    assert second["kept_until"] == (awake + timedelta(days=7)).isoformat()
    [first] = years.warnings(never)
    assert first["kept_until"] == (awake + timedelta(days=30)).isoformat()
    await years.deliver(days_late=2)  # and the mails went late

    await years.live(awake + timedelta(days=9))
    assert await years.erasures(warned) == await years.erasures(never) == []
    assert (await years.run(awake + timedelta(days=10)))["erased"] == 1
    assert len(await years.erasures(warned)) == 1
    await years.live(awake + timedelta(days=25), awake + timedelta(days=32))
    assert await years.erasures(never) == []
    assert (await years.run(awake + timedelta(days=33)))["erased"] == 1


async def test_nobody_goes_whose_warning_has_not_gone(years: Years) -> None:
    last = date(2033, 1, 31)
    years.go_to(last - timedelta(days=40))
    person = await years.account(date(2032, 7, 31))
    day = last - timedelta(days=30)
    await years.run(day)
    for later in (1, 2):
        assert (await years.run(day + later * ONE_DAY))["warned"] == 0
    assert (await years.run(day + 3 * ONE_DAY))["warned"] == 1  # nobody said what became of it
    first, again = years.warnings(person)
    assert first["warning_id"] == again["warning_id"]
    assert again["kept_until"] == (last + 3 * ONE_DAY).isoformat()

    await years.deliver(WarningOutcome.UNSENT)
    assert (await years.own(person))["warnings"] == 0
    await years.run(day + 4 * ONE_DAY)
    assert len({warning["warning_id"] for warning in years.warnings(person)}) == 2
    await years.deliver(WarningOutcome.UNDELIVERABLE)  # no mail will ever reach this address
    assert (await years.own(person))["warnings"] == 1
    await years.live(last - 3 * ONE_DAY, last + 4 * ONE_DAY)
    assert await years.erasures(person) == []
    assert (await years.run(last + 5 * ONE_DAY))["erased"] == 1


async def test_a_foreign_or_repeated_outcome_counts_for_nothing(
    years: Years, doomed: tuple[UUID, date]
) -> None:
    person, last = doomed
    settled = years.warnings(person)[-1]["warning_id"]
    for warning_id in (new_id(), UUID(settled)):
        event_id = await years.stand.say(
            RetentionWarningSettled(
                person_id=person,
                warning_id=warning_id,
                outcome=WarningOutcome.SENT,
                kept_until=last + timedelta(days=1000),
            )
        )
        await years.stand.eventually(
            "SELECT state = 'done' FROM inbox WHERE event_id = $1", event_id
        )
    assert (await years.own(person))["kept_until"] == last.isoformat()
