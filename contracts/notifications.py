"""What `notifications` tells: who wants which newsletter."""

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
