"""The DPO's work list of steps that stay open."""

from uuid import UUID

from pydantic import AwareDatetime

from chassis.http import Output


class EscalatedLevel(Output):
    """A quarter of the step's time (1 to 4; at 4 the time is over), and when the DPO was told."""

    level: int
    escalated_at: AwareDatetime
    mailed_at: AwareDatetime | None = None


class EscalatedStep(Output):
    """A step of which the DPO was told. Without an outcome it is still open."""

    erasure_id: UUID
    participant: str
    due_by: AwareDatetime
    outcome: str | None = None
    levels: list[EscalatedLevel]


class EscalationPage(Output):
    """A page of the list, the least time left first."""

    items: list[EscalatedStep]
    next: str | None = None
