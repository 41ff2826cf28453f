"""Counting months, and reading rules: no service needed."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from services.privacy.models import Retention
from services.privacy.models.deadlines import day_of
from services.privacy.models.retention import last_day, opened_by
from services.privacy.reference.retention import RetentionRuleError, parse, rules

ONE_DAY = timedelta(days=1)
DAYS = some.dates(date(2000, 1, 1), date(2150, 1, 1))
MONTHS = some.integers(1, 120)
RULE = rules()["incomplete-accounts"]


@pytest.mark.parametrize(
    ("opened", "last"),
    [
        (date(2026, 8, 31), date(2027, 2, 28)),
        (date(2027, 8, 31), date(2028, 2, 29)),
        (date(2027, 8, 29), date(2028, 2, 29)),
        (date(2028, 2, 29), date(2028, 8, 29)),
        (date(2026, 10, 31), date(2027, 4, 30)),
        (date(2026, 12, 1), date(2027, 6, 1)),
        (date(2099, 8, 31), date(2100, 2, 28)),
    ],
    ids=str,
)
def test_six_months_end_on_the_same_number_or_with_the_month(opened: date, last: date) -> None:
    assert last_day(opened, months=6) == last


@given(opened=DAYS, months=MONTHS)
def test_whoever_came_later_is_kept_as_long_or_longer(opened: date, months: int) -> None:
    assert last_day(opened, months=months) <= last_day(opened + ONE_DAY, months=months)


@given(opened=DAYS, months=MONTHS)
def test_a_period_is_as_long_as_its_months(opened: date, months: int) -> None:
    last = last_day(opened, months=months)
    assert (last.year * 12 + last.month) - (opened.year * 12 + opened.month) == months
    assert last.day == opened.day or ((last + ONE_DAY).day == 1 and last.day < opened.day)


@given(last=DAYS, months=MONTHS)
def test_the_latest_opening_day_is_the_latest(last: date, months: int) -> None:
    latest = opened_by(last, months=months)
    assert last_day(latest, months=months) <= last
    assert last_day(latest + ONE_DAY, months=months) > last


@given(
    opened=some.dates(date(2020, 1, 1), date(2060, 1, 1)),
    delays=some.lists(some.integers(0, 90), min_size=2, max_size=2),
    travel=some.lists(some.integers(0, 9), min_size=2, max_size=2),
)
def test_whenever_the_runs_come_each_warning_leaves_its_full_days(
    opened: date, delays: list[int], travel: list[int]
) -> None:
    """Runs late, mails late: the last day only ever moves away, and is what was told last."""
    account = Retention(person_id=None, opened_on=opened)  # type: ignore[arg-type]
    told = last_day(opened, months=RULE.months)
    for days, late, way in zip(RULE.notices_days, delays, travel, strict=True):
        asked = told - timedelta(days=days) + timedelta(days=late)
        ends = account.ends(RULE, warned_on=asked)
        assert ends == max(told, asked + timedelta(days=days))
        account.ask(today=asked)
        sent = asked + timedelta(days=way)
        account.warned(until=max(ends, sent + timedelta(days=days)))
        assert account.until is not None
        assert account.until >= told
        assert account.until - sent >= timedelta(days=days)
        told = account.until
    assert account.ends(RULE, warned_on=told) == told
    assert account.warnings == 2


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        (datetime(2027, 8, 30, 22, 30, tzinfo=UTC), date(2027, 8, 31)),  # summer time
        (datetime(2027, 12, 31, 22, 59, tzinfo=UTC), date(2027, 12, 31)),
        (datetime(2027, 12, 31, 23, 0, tzinfo=UTC), date(2028, 1, 1)),
        (datetime(2027, 3, 28, 22, 0, tzinfo=UTC), date(2027, 3, 29)),  # the day of the change
        (datetime(2027, 10, 31, 22, 59, tzinfo=UTC), date(2027, 10, 31)),
    ],
    ids=str,
)
def test_days_are_those_of_paris(instant: datetime, day: date) -> None:
    assert day_of(instant) == day


def stated(**changes: object) -> str:
    fields: dict[str, object] = {
        "id": "essai",
        "trigger": "opened-without-community",
        "active": True,
        "months": 6,
        "notices_days": [30, 7],
        "action": "erase",
        "usual_factor": 3,
        "usual_minimum": 50,
        "silence_days": 7,
        "promise": "N3.1",
        "source": "RGPD art. 5(1)(e)",
        "owner": "Délégué",
        "title": "Essai",
        "description": "Une règle pour essayer",
        **changes,
    }
    lines = [
        f"{name} = {str(value).lower() if isinstance(value, bool) else repr(value)}"
        for name, value in fields.items()
        if value is not None
    ]
    return "\n".join(["[[rules]]", *lines])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there must be"),
        ("rules = 3", "there must be"),
        ("[[rules]", "not TOML"),
        ("rules = [1]", "number 1"),
        (stated(months=0), "rule essai: months"),
        (stated(months="six"), "rule essai: months"),
        (stated(months=None), "rule essai: months: Field required"),
        (stated(notices_days=[]), "rule essai: notices_days"),
        (stated(notices_days=[7, 30]), "later than the one before"),
        (stated(notices_days=[7, 7]), "later than the one before"),
        (stated(notices_days=[7, 0]), "later than the one before"),
        (stated(months=1, notices_days=[29]), "must fall into the period"),
        (stated(action="forget"), "rule essai: action"),
        (stated(trigger="full-moon"), "rule essai: trigger"),
        (stated(usual_minimum=100_000), "rule essai: usual_minimum"),
        (stated(usual_factor=1), "rule essai: usual_factor"),
        (stated(source=None), "rule essai: source"),
        (stated(promise="jamais"), "rule essai: promise"),
        (stated(surprise=1), "rule essai: surprise"),
        (stated() + "\n" + stated(active=False), "rule essai: stated twice"),
        (stated() + "\n" + stated(id="autre"), "rule autre: another active rule"),
    ],
    ids=range(21),
)
def test_a_file_that_states_no_rule_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(RetentionRuleError, match=said.replace("(", r"\(")):
        parse(text)


def test_what_was_promised_to_members_is_what_the_rule_says() -> None:
    assert (RULE.months, RULE.notices_days, RULE.active, RULE.promise) == (6, (30, 7), True, "N3.1")
    assert parse(stated())["essai"].months == 6
