"""Where an erasure stands."""

from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime

from chassis.http import Output

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


class ErasureView(Output):
    """Where an erasure stands. `certificate` is its address, once every step is proven."""

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
    open_steps: list[str]


class ErasurePage(Output):
    """A page of the DPO's list, newest first."""

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
