"""Retention: its rules, its runs, what they would do, and until when somebody's account is kept."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from chassis.http import Input, Output
from chassis.pagination import DEFAULT_LIMIT, After, Limit


class DueView(Output):
    """How many warnings, the earliest first, and how many deletions."""

    warnings: list[int]
    erasures: int


class RuleView(Output):
    """A rule, and what it will have done in seven days if nobody joins meanwhile."""

    id: str
    title: str
    description: str
    active: bool
    months: int
    notices_days: list[int]
    promise: str
    source: str
    owner: str
    due_today: DueView
    due_next_week: DueView
    warnings_on_their_way: int
    """Asked for, and not yet said to have gone."""
    heard_until: date | None
    """Runs go by this day at most: the directory has told of no later one whole."""


class RunView(Output):
    """A run of a rule. `due_*`: what it may do at most; `most_*`: what would be usual."""

    id: UUID
    rule: str
    day: date
    by_hand: bool
    state: Literal["held", "running", "finished", "superseded"]
    cause: str | None
    due_warnings: int
    due_erasures: int
    most_warnings: int
    most_erasures: int
    warned: int
    erased: int
    spared: int
    started_at: AwareDatetime
    confirmed_at: AwareDatetime | None
    finished_at: AwareDatetime | None


class RunPage(Output):
    """A page of runs, newest first."""

    items: list[RunView]
    next: str | None = None


class NewRun(Input):
    """A run by hand; `as_of` may be a day of the past, never of the future."""

    rule: Annotated[str, Field(max_length=40)]
    as_of: date | None = None


class PlanQuery(Input):
    """Which plan, and which page of it."""

    rule: Annotated[str, Field(max_length=40, description="Identifiant de la règle")]
    # Far enough for any question; the calendar itself ends in the year 9999.
    as_of: Annotated[date | None, Field(ge=date(2000, 1, 1), le=date(2200, 1, 1))] = None
    after: After = None
    limit: Limit = DEFAULT_LIMIT


class PlannedView(Output):
    """Somebody whom a plan concerns: what comes next for them, and until when they are kept."""

    person_id: UUID
    opened_on: date
    warnings: int
    next: Literal["warning", "erasure"]
    kept_until: date
    on_its_way: bool
    """Whether a warning was asked for and has not gone yet."""


class PlanPage(Output):
    """What a rule will have done by a day, all in all, and one page of those it concerns."""

    rule: str
    as_of: date
    due: DueView
    items: list[PlannedView]
    next: str | None = None


class OwnRetention(Output):
    """Until when the caller's account is kept, and why; without a day, for as long as it is used."""

    kept_until: date | None
    rule: str | None
    warnings: int
    why: str
    how_to_keep: str | None
    source: str | None
