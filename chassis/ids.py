"""Identifiers: UUIDv7, whose order follows time (RFC 9562), so that indexes stay compact."""

from uuid import UUID

import uuid_utils


def new_id() -> UUID:
    """A fresh UUIDv7 as a standard `uuid.UUID`."""
    return UUID(int=uuid_utils.uuid7().int)
