"""What retention knows of an account, and its runs.

Everything is counted in whole days of Paris: the period runs through the same-numbered day of its last
month, or that month's last day, and deletion may begin once that day is over there.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import partial
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlmodel import Field

from chassis.catalogue import Basis, Category, Fate, not_personal, personal, subject
from chassis.ids import new_id
from chassis.tables import Instant
from services.privacy.models.base import Base
from services.privacy.models.deadlines import months_after
from services.privacy.reference.retention import Rule

ASK_AGAIN_AFTER = timedelta(days=3)
"""Whoever sends warnings has not said what became of one: it is asked for again."""
CLOCK_TOLERANCE = timedelta(minutes=5)
_ONE_DAY = timedelta(days=1)


def last_day(opened_on: date, *, months: int) -> date:
    """The last day on which an account that was opened that day is kept (N3.1)."""
    return months_after(opened_on, months)


def opened_by(kept_until: date, *, months: int) -> date:
    """The latest opening day whose account is not kept beyond that day."""
    day = months_after(kept_until, -months)
    while last_day(day + _ONE_DAY, months=months) <= kept_until:
        day += _ONE_DAY
    return day


class RunState(StrEnum):
    """Where a run stands."""

    HELD = "held"
    """The breaker stopped it before it did anything: the DPO confirms it, or tomorrow's replaces it."""
    RUNNING = "running"
    FINISHED = "finished"
    SUPERSEDED = "superseded"
    """Held, never confirmed, and replaced by another day's."""


class Cause(StrEnum):
    """Why the breaker holds a run."""

    VOLUME = "volume"
    """It concerns more people than usual."""
    CLOCK_JUMPED = "clock-jumped"
    """The clock was set while this process ran."""
    CLOCKS_DISAGREE = "clocks-disagree"
    """The database tells another time."""
    CLOCK_BACKWARDS = "clock-backwards"
    """The last run was on a later day."""
    LONG_SILENCE = "long-silence"
    """There was no run for many days: everything slept, or a clock is wrong."""
    RESTORED = "restored"
    """The database was restored since the last run: it may have forgotten who joined a community."""


_of = partial(personal, of="person_id")


class Retention(Base, table=True):
    """What the rules need to know about one account: a small row, fed by events."""

    __tablename__ = "retention"

    person_id: UUID = Field(
        primary_key=True,
        foreign_key="data_subject.live_id",
        sa_column_kwargs=subject(
            Fate.DELETE,
            "Ne pas garder un compte plus longtemps que promis",
            basis=Basis.LEGAL_OBLIGATION,
        ),
    )
    opened_on: date | None = Field(
        default=None, sa_column_kwargs=_of(Category.CONNECTION, "Jour d'ouverture du compte")
    )
    joined_on: date | None = Field(
        default=None,
        sa_column_kwargs=_of(Category.PROFESSIONAL, "Jour d'entrée dans une première communauté"),
    )
    holds_role: bool = Field(
        default=False, sa_column_kwargs=_of(Category.TECHNICAL, "A un rôle sur la plateforme")
    )
    warnings: int = Field(default=0, sa_column_kwargs=_of(Category.CONTENT, "Avertissements reçus"))
    until: date | None = Field(
        default=None,
        sa_column_kwargs=_of(Category.CONTENT, "Dernier jour de conservation annoncé"),
    )
    warning_id: UUID | None = Field(
        default=None, sa_column_kwargs=not_personal("opaque id of a warning that is on its way")
    )
    asked_on: date | None = Field(
        default=None, sa_column_kwargs=not_personal("when that warning was last asked for")
    )

    __table_args__ = (
        # What is due is at the beginning of these, whatever else there is.
        Index(
            "ix_retention_unwarned",
            "opened_on",
            "person_id",
            postgresql_where=text("warnings = 0 AND joined_on IS NULL AND NOT holds_role"),
        ),
        Index(
            "ix_retention_warned",
            "warnings",
            "until",
            "person_id",
            postgresql_where=text("warnings > 0 AND joined_on IS NULL AND NOT holds_role"),
        ),
        CheckConstraint("warnings = 0 OR until IS NOT NULL", name="warned_until_a_day"),
        CheckConstraint(
            "(warning_id IS NULL) = (asked_on IS NULL)", name="asked_warnings_have_a_day"
        ),
    )

    @property
    def excused(self) -> bool:
        """Whether no rule asks for its deletion: it joined a community, or works here."""
        return self.joined_on is not None or self.holds_role

    def ends(self, rule: Rule, *, warned_on: date) -> date | None:
        """The last day, as a warning on that day would have to name it; never earlier than told."""
        if self.opened_on is None:
            return None
        days = [last_day(self.opened_on, months=rule.months)]
        if self.until is not None:
            days.append(self.until)
        if self.warnings < len(rule.notices_days):
            days.append(warned_on + timedelta(days=rule.notices_days[self.warnings]))
        return max(days)

    def ask(self, *, today: date) -> UUID:
        """A warning is asked for; the same one again while nobody has said what became of it."""
        self.warning_id = self.warning_id or new_id()
        self.asked_on = today
        return self.warning_id

    def warned(self, *, until: date) -> None:
        """The warning has reached whom it can reach, and named that day."""
        self.warnings += 1
        self.until = max(until, self.until or until)
        self.warning_id = self.asked_on = None

    def unsent(self) -> None:
        """No mail server took it: the next run gives another one."""
        self.warning_id = self.asked_on = None


class RetentionRun(Base, table=True):
    """One run of a rule, for one day: what it was to do, what it did, or why it was stopped."""

    __tablename__ = "retention_run"

    id: UUID = Field(
        default_factory=new_id, primary_key=True, sa_column_kwargs=not_personal("opaque id")
    )
    rule: str = Field(sa_column_kwargs=not_personal("name of a rule"))
    day: date = Field(sa_column_kwargs=not_personal("the day it goes by"))
    by_hand: bool = Field(sa_column_kwargs=not_personal("whether the DPO asked for it"))
    state: str = Field(sa_column_kwargs=not_personal("where it stands"))
    cause: str | None = Field(
        default=None, sa_column_kwargs=not_personal("why it was held, from a closed list")
    )
    due_warnings: int = Field(sa_column_kwargs=not_personal("a count: warnings it may give"))
    due_erasures: int = Field(sa_column_kwargs=not_personal("a count: accounts it may delete"))
    most_warnings: int = Field(sa_column_kwargs=not_personal("a count: more is unusual"))
    most_erasures: int = Field(sa_column_kwargs=not_personal("a count: more is unusual"))
    restores: int = Field(
        default=0,
        sa_column_kwargs={
            **not_personal("a count: times the database had been restored before"),
            "server_default": "0",
        },
    )
    warned: int = Field(default=0, sa_column_kwargs=not_personal("a count: warnings given"))
    erased: int = Field(default=0, sa_column_kwargs=not_personal("a count: deletions asked for"))
    spared: int = Field(
        default=0, sa_column_kwargs=not_personal("a count: kept, for an event that cannot be read")
    )
    started_at: datetime = Field(
        sa_type=Instant, sa_column_kwargs=not_personal("when it was begun or held")
    )
    told_at: datetime | None = Field(
        default=None, sa_type=Instant, sa_column_kwargs=not_personal("when the DPO was written to")
    )
    confirmed_at: datetime | None = Field(
        default=None, sa_type=Instant, sa_column_kwargs=not_personal("when the DPO confirmed it")
    )
    finished_at: datetime | None = Field(
        default=None, sa_type=Instant, sa_column_kwargs=not_personal("when it was over")
    )

    __table_args__ = (
        Index(
            "uq_retention_run_open",
            "rule",
            unique=True,
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index(
            "uq_retention_run_day",
            "rule",
            "day",
            unique=True,
            postgresql_where=text("NOT by_hand AND state <> 'superseded'"),
        ),
        Index("ix_retention_run_started_at", "started_at", "id"),
        CheckConstraint(
            "(finished_at IS NULL) = (state IN ('held', 'running'))", name="over_has_its_time"
        ),
        CheckConstraint("state <> 'held' OR cause IS NOT NULL", name="held_for_a_cause"),
        CheckConstraint("warned <= due_warnings AND erased <= due_erasures", name="never_more"),
    )


class MembershipsHeard(Base, table=True):
    """Until when this service has heard of everybody who became a member."""

    __tablename__ = "memberships_heard"

    service: str = Field(primary_key=True, sa_column_kwargs=not_personal("name of a service"))
    until: datetime = Field(sa_type=Instant, sa_column_kwargs=not_personal("an instant"))


@dataclass(frozen=True, kw_only=True)
class Due:
    """How many of each warning, the earliest first, and how many deletions."""

    warnings: tuple[int, ...]
    erasures: int
