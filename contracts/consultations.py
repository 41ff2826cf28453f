"""What `consultations` tells: calls by buyers, and the replies to them."""

from datetime import datetime
from uuid import UUID

from contracts.base import Event, PersonId


class ConsultationPublished(
    Event, owner="consultations", fact="consultation_published", subject="consultation_id"
):
    """Members of these communities may read it and reply until `closes_at` (N1.4)."""

    consultation_id: UUID
    company_id: UUID
    community_ids: tuple[UUID, ...]
    closes_at: datetime


class ConsultationClosed(
    Event, owner="consultations", fact="consultation_closed", subject="consultation_id"
):
    """No more replies: its time is over, or its company closed it."""

    consultation_id: UUID


class ConsultationCancelled(
    Event, owner="consultations", fact="consultation_cancelled", subject="consultation_id"
):
    """Withdrawn without a result, for instance because its company left the platform."""

    consultation_id: UUID


class ReplySubmitted(Event, owner="consultations", fact="reply_submitted", subject="reply_id"):
    """A member answered for a company."""

    reply_id: UUID
    consultation_id: UUID
    company_id: UUID
    person_id: PersonId


class ReplyWithdrawn(Event, owner="consultations", fact="reply_withdrawn", subject="reply_id"):
    """Taken back by its author, an administrator of its company, or with the company itself.

    It names nobody: the author may be forgotten by then.
    """

    reply_id: UUID
    consultation_id: UUID
    company_id: UUID
