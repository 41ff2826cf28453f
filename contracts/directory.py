"""What `directory` tells: companies, who may act for them, and who belongs to which community."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from contracts.base import Event, PersonId, Slug


class AttachmentRole(StrEnum):
    """What a person may do for a company."""

    ADMINISTRATOR = "administrator"
    COLLEAGUE = "colleague"


class CompanyListed(Event, owner="directory", fact="company_listed", subject="company_id"):
    """A company sheet can be found."""

    company_id: UUID


class CompanyUnlisted(Event, owner="directory", fact="company_unlisted", subject="company_id"):
    """A company sheet is gone, for instance with its last owner."""

    company_id: UUID


class PersonAttached(Event, owner="directory", fact="person_attached", subject="company_id"):
    """A person may act for a company; a second event changes the role."""

    company_id: UUID
    person_id: PersonId
    role: AttachmentRole


class PersonDetached(Event, owner="directory", fact="person_detached", subject="company_id"):
    """A person no longer acts for a company."""

    company_id: UUID
    person_id: PersonId


class CommunityOpened(Event, owner="directory", fact="community_opened", subject="community_id"):
    """A community exists; `slug` is its place in addresses, `cci` the chamber it belongs to (N1.1)."""

    community_id: UUID
    slug: Slug
    cci: Slug


class AnimatorAppointed(
    Event, owner="directory", fact="animator_appointed", subject="community_id"
):
    """A person runs that community from now on."""

    community_id: UUID
    person_id: PersonId


class AnimatorDismissed(
    Event, owner="directory", fact="animator_dismissed", subject="community_id"
):
    """A person no longer runs that community."""

    community_id: UUID
    person_id: PersonId


class MembershipRequested(
    Event, owner="directory", fact="membership_requested", subject="membership_id"
):
    """A person asked to join a community for a company; the animator decides."""

    membership_id: UUID
    person_id: PersonId
    company_id: UUID
    community_id: UUID


class MembershipGranted(
    Event, owner="directory", fact="membership_granted", subject="membership_id"
):
    """A person is a member of a community; its newsletter comes with it (N7.1)."""

    membership_id: UUID
    person_id: PersonId
    company_id: UUID
    community_id: UUID


class MembershipRefused(
    Event, owner="directory", fact="membership_refused", subject="membership_id"
):
    """The animator said no; the reason stays in `directory`."""

    membership_id: UUID
    person_id: PersonId
    community_id: UUID


class MembershipEnded(Event, owner="directory", fact="membership_ended", subject="membership_id"):
    """A person left a community."""

    membership_id: UUID
    person_id: PersonId
    company_id: UUID
    community_id: UUID


class MembershipsTold(Event, owner="directory", fact="memberships_told", subject="service"):
    """Whoever became a member or an animator before `until` has been told of: it is in the queues.

    Who reads its own queue in order, and gets here, knows all of them.
    """

    service: Slug = "directory"
    until: datetime
