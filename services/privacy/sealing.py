"""Sealing an address so that the row which keeps it is unreadable without the key file."""

import os
from base64 import urlsafe_b64decode

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


def seal(plain: str, *, key: str, context: bytes) -> bytes:
    """AES-256-GCM with a fresh nonce; `context` binds it to its row."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _cipher(key).encrypt(nonce, plain.encode(), context)


def unseal(sealed: bytes, *, key: str, context: bytes) -> str:
    """The text again; raises `cryptography.exceptions.InvalidTag` for another key or row."""
    nonce, body = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    return _cipher(key).decrypt(nonce, body, context).decode()


def _cipher(key: str) -> AESGCM:
    return AESGCM(urlsafe_b64decode(key + "=" * (-len(key) % 4)))
