"""What `privacy` says and what it is answered: the erasure protocol, notices and consents."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.base import CompactJws, Event, Kind, PersonId, Sha256, Slug

MAX_BATCH = 500
"""People in one broadcast; larger requests become several broadcasts."""

Position = Annotated[int, Field(ge=1, le=2**63 - 1)]
"""Place of a broadcast in the ledger. Only together with `entry_hash` does it name one."""

TableName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$", max_length=63)]
"""What PostgreSQL takes for the name of a table without quotes."""

Count = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Reason(StrEnum):
    """Why a person is erased."""

    SELF_SERVICE = "self_service"
    RIGHTS_REQUEST = "rights_request"
    RETENTION = "retention"
    CANARY = "canary"


class Outcome(StrEnum):
    """How a participant's step can end; silence is not among them."""

    ERASED = "erased"
    NOTHING_HELD = "nothing_held"
    KEPT_UNDER_HOLD = "kept_under_hold"
    WAIVED = "waived"
    """Set by the DPO only, with a reason; never accepted from a participant."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ErasureSubject(_Part):
    """One person of a broadcast."""

    erasure_id: UUID
    subject_id: PersonId


class Erase(Event, owner="privacy", fact="erase", subject="broadcast_id", kind=Kind.COMMAND):
    """Forget these people, and show evidence before `due_by`."""

    broadcast_id: UUID
    position: Position
    entry_hash: Sha256
    due_by: datetime
    reason: Reason
    subjects: Annotated[tuple[ErasureSubject, ...], Field(min_length=1, max_length=MAX_BATCH)]


class Kept(_Part):
    """Rows that stay, under a named hold."""

    rule: Slug
    rows: Count
    until: datetime | None = None


class TableEvidence(_Part):
    """What happened to one person's rows in one table; the transaction that counted them committed."""

    deleted: Count = 0
    detached: Count = 0
    kept: tuple[Kept, ...] = ()


class SubjectEvidence(_Part):
    """One participant's evidence for one person: every table of its manifest, zeros included."""

    erasure_id: UUID
    outcome: Outcome
    tables: dict[Slug | TableName, TableEvidence] = Field(default_factory=dict)


class ErasureAcknowledged(
    Event, owner="privacy", fact="erasure_acknowledged", subject="broadcast_id", kind=Kind.ANSWER
):
    """A service's answer to `Erase`, signed with its evidence key over everything but `signature`."""

    broadcast_id: UUID
    position: Position
    entry_hash: Sha256
    participant: Slug
    manifest_hash: Sha256
    subjects: Annotated[tuple[SubjectEvidence, ...], Field(min_length=1, max_length=MAX_BATCH)]
    signature: CompactJws


class PartnerSubject(_Part):
    """A partner system's word about one person; it shows no tables."""

    erasure_id: UUID
    outcome: Outcome


class PartnerAcknowledged(
    Event, owner="partner", fact="erasure_acknowledged", subject="entry_hash", kind=Kind.ANSWER
):
    """A partner system's answer to `Erase`; the broker vouches for which partner speaks."""

    position: Position
    entry_hash: Sha256
    subjects: Annotated[tuple[PartnerSubject, ...], Field(min_length=1, max_length=MAX_BATCH)]


class ManifestAnnounced(
    Event, owner="privacy", fact="manifest_announced", subject="manifest_hash", kind=Kind.ANSWER
):
    """What a service declares to hold about people, so that its evidence can be judged.

    `manifest` describes tables and columns, never people.
    """

    participant: Slug
    manifest_hash: Sha256
    manifest: dict[str, Any]
    signature: CompactJws


class ErasureCompleted(Event, owner="privacy", fact="erasure_completed", subject="erasure_id"):
    """Every participant has proven that this person is forgotten."""

    erasure_id: UUID


class NoticePublished(Event, owner="privacy", fact="notice_published", subject="notice_id"):
    """A new version of the data-protection notice is in force (N8.2)."""

    notice_id: UUID
    notice_version: Slug
    in_force_from: datetime


class Right(StrEnum):
    """What a person may ask about their data (GDPR art. 15 to 21)."""

    ACCESS = "access"
    RECTIFICATION = "rectification"
    ERASURE = "erasure"
    OBJECTION = "objection"
    RESTRICTION = "restriction"
    PORTABILITY = "portability"


class RightsRequestOpened(
    Event, owner="privacy", fact="rights_request_opened", subject="request_id"
):
    """Somebody exercises a right, and is who they say they are (N4.1)."""

    request_id: UUID
    person_id: PersonId
    right: Right
    due_on: date


class RightsRequestClosed(
    Event, owner="privacy", fact="rights_request_closed", subject="request_id"
):
    """A rights request was answered, or refused with reasons."""

    request_id: UUID
    person_id: PersonId
    right: Right
    refused: bool


class ProcessingObjected(Event, owner="privacy", fact="processing_objected", subject="person_id"):
    """A person objects (GDPR art. 21): what is not necessary for them ends, newsletters first."""

    person_id: PersonId
    objected_at: datetime


class ConsentPurpose(StrEnum):
    """What a person may agree to."""

    PLATFORM = "platform"
    """The use of the platform, as the notice tells it; it ends with the account."""
    AUDIENCE = "audience"
    """Audience measurement of the visits of a signed-in person (N5.1)."""


class ConsentGiven(Event, owner="privacy", fact="consent_given", subject="person_id"):
    """A person agreed to a version of the notice, for a purpose (N2.4)."""

    person_id: PersonId
    consent_id: UUID
    purpose: ConsentPurpose
    notice_version: Slug
    given_at: datetime


class ConsentWithdrawn(Event, owner="privacy", fact="consent_withdrawn", subject="person_id"):
    """A person no longer agrees, for a purpose."""

    person_id: PersonId
    consent_id: UUID
    purpose: ConsentPurpose
    withdrawn_at: datetime


class RetentionWarningDue(
    Event, owner="privacy", fact="retention_warning_due", subject="person_id"
):
    """Tell this person that their account will be deleted, with `notice_days` full days to act.

    `kept_until` is the last day in Paris; a warning that goes late names a later one. A warning that
    was given already is answered again.
    """

    warning_id: UUID
    person_id: PersonId
    rule: Slug
    kept_until: date
    notice_days: Annotated[int, Field(ge=1, le=366)]
