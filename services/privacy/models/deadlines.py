"""Legal deadlines, counted by the calendar in Paris (Regulation 1182/71; GDPR art. 12(3)).

Pure functions over dates. The day of receipt is not counted; a period of months ends with the last hour
of the same-numbered day, or of the month's last day; when that is a Saturday, a Sunday or a French
public holiday, of the next working day.
"""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import TypeVar
from zoneinfo import ZoneInfo

from holidays import country_holidays

PARIS = ZoneInfo("Europe/Paris")
MONTHS_TO_ANSWER = 1
MONTHS_MORE = 2
_ONE_DAY = timedelta(days=1)
_SATURDAY = 5

Moment = TypeVar("Moment", bound=date)
"""A date, or an instant (which is a date to Python)."""


def day_of(instant: datetime) -> date:
    """The calendar day in Paris."""
    return instant.astimezone(PARIS).date()


def end_of(day: date) -> datetime:
    """The instant at which that day is over in Paris, in UTC; what is before it is in time."""
    return datetime.combine(day + _ONE_DAY, time(), PARIS).astimezone(UTC)


def months_after(start: Moment, months: int) -> Moment:
    """The same-numbered day so many months later, or that month's last day."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    month += 1
    return start.replace(year=year, month=month, day=min(start.day, monthrange(year, month)[1]))


def is_working_day(day: date) -> bool:
    """Neither a Saturday, nor a Sunday, nor a public holiday of the whole of France."""
    return day.weekday() < _SATURDAY and day not in _public_holidays(day.year)


def working_day_from(day: date) -> date:
    """That day, or the next working one (Regulation 1182/71, art. 3(4))."""
    while not is_working_day(day):
        day += _ONE_DAY
    return day


def last_day(received_on: date, *, extended: bool = False, paused_days: int = 0) -> date:
    """The last day on which the answer to a rights request is in time.

    `paused_days`: days for which the clock stood still while identity was reasonably doubted; they
    are added before the deadline is moved to a working day.
    """
    months = MONTHS_TO_ANSWER + (MONTHS_MORE if extended else 0)
    return working_day_from(months_after(received_on, months) + timedelta(days=paused_days))


@cache
def _public_holidays(year: int) -> frozenset[date]:
    return frozenset(country_holidays("FR", years=year))
