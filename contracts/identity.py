"""What `identity` tells: accounts come, are confirmed, and ask to be forgotten."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from contracts.base import Event, PersonId, Slug


class AccountOpened(Event, owner="identity", fact="account_opened", subject="account_id"):
    """Somebody signed up, having read that version of the notice (N2.4)."""

    account_id: PersonId
    notice_version: Slug
    opened_at: datetime


class AccountVerified(Event, owner="identity", fact="account_verified", subject="account_id"):
    """The address was confirmed: from here on the account may be written to."""

    account_id: PersonId
    verified_at: datetime


class AccountLocked(Event, owner="identity", fact="account_locked", subject="account_id"):
    """The owner asked to be deleted: every session is over, the account waits for its erasure (N3.2).

    Repeated until the erasure has reached identity, so privacy may see it more than once.
    """

    account_id: PersonId
    erasure_id: UUID
    requested_at: datetime

    def people(self) -> Iterator[UUID]:
        """Nobody: a wish of somebody who was erased meanwhile must be heard, and be told that it is done."""
        return iter(())


class RolesChanged(Event, owner="identity", fact="roles_changed", subject="account_id"):
    """The platform roles of an account were set; which ones stays in `identity`."""

    account_id: PersonId
    holds_role: bool
