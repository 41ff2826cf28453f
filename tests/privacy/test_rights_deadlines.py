"""Deadlines to the day: Regulation 1182/71, French holidays, pauses and one extension."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.privacy.errors import DeadlinePassedError, LinkExpiredError, RequestStateError
from services.privacy.models import RightsRequest
from services.privacy.models.deadlines import (
    day_of,
    end_of,
    is_working_day,
    last_day,
    months_after,
    working_day_from,
)
from services.privacy.models.rights import Channel, RightsState

DAYS = st.dates(min_value=date(2024, 1, 1), max_value=date(2060, 12, 31))
NOW = datetime(2027, 3, 10, 9, tzinfo=UTC)


def a_request(received_on: date = date(2027, 3, 10), **more: object) -> RightsRequest:
    values = {
        "kind": "access",
        "channel": Channel.FORM,
        "state": RightsState.OPEN,
        "received_on": received_on,
        "due_on": last_day(received_on),
        "extended": False,
        "paused_days": 0,
    }
    return RightsRequest(**values | more)


@pytest.mark.parametrize(
    ("received", "due"),
    [
        ("2027-03-10", "2027-04-12"),  # 10 April is a Saturday
        ("2026-11-23", "2026-12-23"),
        ("2027-01-31", "2027-03-01"),  # 28 February is a Sunday
        ("2028-01-31", "2028-02-29"),  # a leap year, a Tuesday
        ("2026-08-31", "2026-09-30"),
        ("2026-11-25", "2026-12-28"),  # Christmas is a Friday
        ("2026-12-01", "2027-01-04"),  # New Year's Day is a Friday
        ("2027-02-28", "2027-03-30"),  # 28 March is Easter Sunday, then Easter Monday
        ("2026-04-14", "2026-05-15"),  # Ascension Day is a Thursday
        ("2026-10-11", "2026-11-12"),  # Armistice Day is a Wednesday
        ("2026-03-31", "2026-04-30"),
    ],
)
def test_one_month_ends_on_the_same_numbered_day_or_the_next_working_one(
    received: str, due: str
) -> None:
    assert last_day(date.fromisoformat(received)) == date.fromisoformat(due)


def test_the_day_is_that_of_paris_in_summer_and_in_winter() -> None:
    assert day_of(datetime(2026, 7, 31, 22, 30, tzinfo=UTC)) == date(2026, 8, 1)
    assert day_of(datetime(2026, 12, 31, 22, 30, tzinfo=UTC)) == date(2026, 12, 31)
    assert end_of(date(2027, 3, 27)) == datetime(2027, 3, 27, 23, tzinfo=UTC)
    assert end_of(date(2027, 3, 28)) == datetime(2027, 3, 28, 22, tzinfo=UTC)


def test_extension_and_pause_are_counted_from_the_receipt() -> None:
    received = date(2026, 11, 23)
    assert last_day(received, extended=True) == date(2027, 2, 23)
    assert last_day(received, paused_days=10) == date(2027, 1, 4)  # 2 January is a Saturday
    assert last_day(received, extended=True, paused_days=3) == date(2027, 2, 26)


@pytest.mark.parametrize("extended", [True, False])
@given(received=DAYS, paused=st.integers(0, 60))
def test_a_deadline_is_a_working_day_a_month_away_at_least(
    received: date, paused: int, *, extended: bool
) -> None:
    due = last_day(received, extended=extended, paused_days=paused)
    whole = months_after(received, 3 if extended else 1) + timedelta(days=paused)
    assert is_working_day(due)
    assert whole <= due <= whole + timedelta(days=4)
    assert all(not is_working_day(whole + timedelta(days=n)) for n in range((due - whole).days))


@given(DAYS, DAYS)
def test_who_asks_later_never_has_an_earlier_deadline(one: date, other: date) -> None:
    first, second = sorted([one, other])
    assert last_day(first) <= last_day(second)


@given(DAYS, st.integers(0, 36))
def test_months_keep_the_number_of_the_day_where_there_is_one(start: date, months: int) -> None:
    found = months_after(start, months)
    assert (found.year * 12 + found.month) - (start.year * 12 + start.month) == months
    assert found.day == start.day or (
        found.day < start.day and (found + timedelta(days=1)).day == 1
    )


@given(DAYS)
def test_a_working_day_is_never_a_weekend(day: date) -> None:
    assert working_day_from(day).weekday() < 5


@given(st.lists(st.integers(0, 40), max_size=5))
def test_the_clock_loses_exactly_the_days_it_stood_still(pauses: list[int]) -> None:
    request, today = a_request(), date(2027, 3, 11)
    for days in pauses:
        request.doubt(today=today)
        left = request.days_left(today=today)
        today += timedelta(days=days)
        assert request.days_left(today=today) == left
        request.check_identity(today=today)
    assert request.due_on == last_day(request.received_on, paused_days=sum(pauses))


def test_an_extension_comes_once_and_inside_the_first_month() -> None:
    request = a_request()
    request.extend(today=request.due_on)
    assert request.due_on == date(2027, 6, 10)
    with pytest.raises(RequestStateError):
        request.extend(today=date(2027, 4, 1))
    late = a_request()
    with pytest.raises(DeadlinePassedError):
        late.extend(today=late.due_on + timedelta(days=1))
    assert not late.extended


def test_a_request_goes_only_where_its_state_leads() -> None:
    open_, closed = a_request(), a_request()
    closed.answer(now=NOW)
    steps = {
        "doubt": {"today": NOW.date()},
        "extend": {"today": NOW.date()},
        "answer": {"now": NOW},
        "refuse": {"now": NOW},
        "confirm": {"now": NOW},
        "check_identity": {"today": NOW.date()},
    }
    for step, values in steps.items():
        with pytest.raises(RequestStateError):
            getattr(closed, step)(**values)
    for step in ("confirm", "check_identity"):
        with pytest.raises(RequestStateError):
            getattr(open_, step)(**steps[step])
    open_.doubt(today=NOW.date())
    for step in ("doubt", "extend", "answer", "confirm"):
        with pytest.raises(RequestStateError):
            getattr(open_, step)(**steps[step])
    open_.refuse(now=NOW)
    assert (open_.state, open_.paused_on, open_.closed_at) == (RightsState.REFUSED, None, NOW)


def test_a_link_is_followed_in_its_time_or_never() -> None:
    request = a_request(state=RightsState.UNCONFIRMED, expires_at=NOW)
    with pytest.raises(LinkExpiredError):
        request.confirm(now=NOW)
    request.confirm(now=NOW - timedelta(seconds=1))
    assert (request.state, request.expires_at) == (RightsState.OPEN, None)
