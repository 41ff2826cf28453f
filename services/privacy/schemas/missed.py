"""What partner systems missed while they were away."""

from pydantic import AwareDatetime

from chassis.http import Output


class MissedPosition(Output):
    """One broadcast that a partner missed, and how far it has answered since."""

    position: int
    sent_at: AwareDatetime | None
    """When it was broadcast to the others."""
    people: int
    unanswered: int
    """Of whom it has said nothing yet."""
    times: int
    """How often it was told since it is back."""
    told_at: AwareDatetime | None
    """When it was last told."""
    acknowledged_at: AwareDatetime | None
    """When it answered last."""


class MissedPage(Output):
    """What one partner missed, the newest first."""

    items: list[MissedPosition]
    next: str | None
