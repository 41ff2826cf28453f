"""Unsubscribe tokens: they name a subscription and cannot be made up."""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from uuid import UUID

_MAC_BYTES = 16


def unsubscribe_token(*, key: str, subscription_id: UUID) -> str:
    """The token of a subscription: the same in every mail, for as long as the subscription exists.

    Derived instead of stored, so that reading the database does not let anybody unsubscribe others.
    """
    name = subscription_id.bytes
    return urlsafe_b64encode(name + _mac(key, name)).rstrip(b"=").decode()


def subscription_of(token: str, *, key: str) -> UUID | None:
    """The subscription that a token names, which may be gone; None for a token that is not ours."""
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (Base64Error, ValueError):
        return None
    name, mac = raw[:16], raw[16:]
    return (
        UUID(bytes=name) if len(name) == 16 and hmac.compare_digest(mac, _mac(key, name)) else None
    )


def _mac(key: str, name: bytes) -> bytes:
    return hmac.digest(key.encode(), b"unsubscribe" + name, hashlib.sha256)[:_MAC_BYTES]
