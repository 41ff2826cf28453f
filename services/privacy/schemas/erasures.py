"""Where an erasure stands."""

from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime

from chassis.http import Output
from services.privacy.schemas.waivers import WaiverView

ErasureState = Literal["open", "completed", "escalated"]


class Counts(Output):
    """Rows of one person at one participant."""

    deleted: int = 0
    detached: int = 0
    kept: int = 0


class StepView(Output):
    """One participant's part; without an outcome it is still open."""

    participant: str
    outcome: str | None = None
    counts: Counts | None = None
    acknowledged_at: AwareDatetime | None = None
    due_by: AwareDatetime | None = None
    escalated: int = 0
    """Quarters of its time (1 to 4) after which the DPO was told that it was still open."""
    waiver: WaiverView | None = None
    """The DPO's decision to end it without proof; it stays when the proof comes later."""


class ErasureView(Output):
    """Where an erasure stands. `certificate` is its address, once every step is proven or waived.

    `escalated` means that the DPO was told: a step was still open after a quarter of its time, or the
    legal deadline is over.
    """

    erasure_id: UUID
    state: ErasureState
    requested_at: AwareDatetime
    completed_at: AwareDatetime | None = None
    due_by: AwareDatetime
    steps: list[StepView]
    certificate: str | None = None


class ErasureSummary(Output):
    """A line of the DPO's list."""

    erasure_id: UUID
    state: ErasureState
    reason: str
    requested_at: AwareDatetime
    completed_at: AwareDatetime | None
    due_by: AwareDatetime
    open_steps: list[str]


class ErasurePage(Output):
    """A page of the DPO's list."""

    items: list[ErasureSummary]
    next: str | None = None


class SignedCertificate(Output):
    """The certificate to read, and the JWS (RFC 7515) whose payload it is."""

    certificate: dict[str, Any]
    jws: str


class RefusalView(Output):
    """An answer that proved nothing."""

    refused_at: AwareDatetime
    sender: str | None
    position: int | None
    cause: str
    times: int
    """How many of this sender and cause came in that hour; the instant and the place are the last's."""
