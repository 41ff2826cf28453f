"""What people see of what is held about them, and of the copies they ask for."""

from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime

from chassis.access import Section
from chassis.http import Output

WhyNot = Literal["unreachable", "wrong_answer", "incomplete_answer"]
"""Why a service shows nothing: it did not answer in time or with an error, its answer could not be
read, or tables are missing that it declares to hold.
"""


class ServiceData(Output):
    """What one service holds now. Without `answered` nothing is known about it, not that it is empty."""

    service: str
    answered: bool
    why_not: WhyNot | None
    sections: list[Section]
    """One per table and way of naming the person; `total` counts the rows, the first are shown."""


class DataView(Output):
    """What is held about a person, asked from every service a moment ago."""

    generated_at: AwareDatetime
    complete: bool
    """Whether every service has answered."""
    services: list[ServiceData]


class ExportView(Output):
    """A copy that was asked for."""

    id: UUID
    state: Literal["waiting", "ready", "failed"]
    requested_at: AwareDatetime
    ready_at: AwareDatetime | None
    expires_at: AwareDatetime
    size: int | None
    """Bytes of the archive."""
    missing: list[str]
    """Services that could not be asked for a day and are not in the archive."""


class NewExport(Output):
    """A copy is being made. The key opens it; it is shown now and never again."""

    id: UUID
    key: str
