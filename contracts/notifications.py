"""What `notifications` tells: who wants which newsletter."""

from datetime import date
from enum import StrEnum
from uuid import UUID

from contracts.base import Event, PersonId


class Subscribed(Event, owner="notifications", fact="subscribed", subject="person_id"):
    """A person receives the newsletter of a community (N7.1)."""

    person_id: PersonId
    community_id: UUID


class Unsubscribed(Event, owner="notifications", fact="unsubscribed", subject="person_id"):
    """A person no longer receives the newsletter of a community (N4.2)."""

    person_id: PersonId
    community_id: UUID


class WarningOutcome(StrEnum):
    """What became of a warning."""

    SENT = "sent"
    """A mail server has accepted it."""
    UNDELIVERABLE = "undeliverable"
    """There is no confirmed address, or its server refuses it for good."""
    UNSENT = "unsent"
    """No mail server took it for days; it has to be given again."""


class RetentionWarningSettled(
    Event, owner="notifications", fact="retention_warning_settled", subject="person_id"
):
    """What became of a warning that `privacy` asked for, and the last day that it names."""

    person_id: PersonId
    warning_id: UUID
    outcome: WarningOutcome
    kept_until: date
