"""Pure functions over secrets: sealed addresses, and the key that signs certificates."""

import os
from base64 import urlsafe_b64decode
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from joserfc.jwk import ECKey

from chassis.evidence import load_key

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


@cache
def certificate_key(path: Path) -> ECKey:
    """The key that signs certificates, read once."""
    return load_key(path)
