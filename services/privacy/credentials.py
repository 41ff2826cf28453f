"""Pure functions over secrets: sealed addresses, exports that one person opens, certificates' key."""

import hashlib
import hmac
import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from joserfc import jws
from joserfc.jwk import ECKey

from chassis.evidence import ALGORITHM, canonical, load_key

_NONCE_BYTES = 12


def seal(plain: str, *, key: str, context: bytes) -> bytes:
    """AES-256-GCM with a fresh nonce; `context` binds it to its row."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _cipher(key).encrypt(nonce, plain.encode(), context)


def unseal(sealed: bytes, *, key: str, context: bytes) -> str:
    """The text again; raises `cryptography.exceptions.InvalidTag` for another key or row."""
    nonce, body = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    return _cipher(key).decrypt(nonce, body, context).decode()


def readable(sealed: bytes | None, *, key: str, context: bytes) -> str | None:
    """The text again; None when there is none, or when its key was lost with it."""
    try:
        return None if sealed is None else unseal(sealed, key=key, context=context)
    except InvalidTag:
        return None


def _cipher(key: str) -> AESGCM:
    return AESGCM(urlsafe_b64decode(key + "=" * (-len(key) % 4)))


@cache
def certificate_key(path: Path) -> ECKey:
    """The key that signs certificates, read once."""
    return load_key(path)


_MAGIC = b"CCIBX1"
_CHUNK = 1 << 20
_TAG_BYTES = 16
_WRAPPED_BYTES = 32 + 32 + _TAG_BYTES
"""An ephemeral public key, the content key, a tag."""
_HPKE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


class ExportKey(NamedTuple):
    """A pair for one export: whoever has the public half can only close."""

    public: bytes
    private: str


def new_export_key() -> ExportKey:
    """The private half is for the person; nothing keeps it."""
    private = X25519PrivateKey.generate()
    text = urlsafe_b64encode(private.private_bytes_raw()).rstrip(b"=").decode()
    return ExportKey(public=private.public_key().public_bytes_raw(), private=text)


def opening(key: str, *, public: bytes) -> X25519PrivateKey | None:
    """The private half, if it is the one of this pair."""
    try:
        private = X25519PrivateKey.from_private_bytes(
            urlsafe_b64decode(key.encode() + b"=" * (-len(key) % 4))
        )
    except ValueError:
        return None
    same = hmac.compare_digest(private.public_key().public_bytes_raw(), public)
    return private if same else None


class Sealer:
    """A file to write to: what arrives in `target` is closed for everybody but one person.

    A fresh AES-256-GCM key, given to the public key (HPKE, RFC 9180), closes pieces of 1 MiB; the
    nonce counts them and marks the last one, so that none can be dropped, added or moved.
    """

    def __init__(self, target: IO[bytes], *, public: bytes, context: bytes) -> None:
        key = AESGCM.generate_key(256)
        self.size = 0
        """Bytes written so far, before they are closed."""
        self._target = target
        self._context = context
        self._cipher = AESGCM(key)
        self._pieces = 0
        self._waiting = bytearray()
        owner = X25519PublicKey.from_public_bytes(public)
        target.write(_MAGIC + _HPKE.encrypt(key, owner, _MAGIC + context))

    def write(self, content: bytes) -> int:
        """Close what fills a piece; the rest waits."""
        self.size += len(content)
        self._waiting += content
        while len(self._waiting) > _CHUNK:
            self._close_piece(bytes(self._waiting[:_CHUNK]), last=False)
            del self._waiting[:_CHUNK]
        return len(content)

    def flush(self) -> None:
        """Nothing can leave before its piece is full."""

    def close(self) -> None:
        """Close the last piece; without it nothing can be opened."""
        self._close_piece(bytes(self._waiting), last=True)

    def _close_piece(self, piece: bytes, *, last: bool) -> None:
        nonce = _nonce(self._pieces, last=last)
        self._target.write(self._cipher.encrypt(nonce, piece, self._context))
        self._pieces += 1


async def unsealed(
    source: AsyncIterator[bytes], *, private: X25519PrivateKey, context: bytes
) -> AsyncIterator[bytes]:
    """What a `Sealer` closed, piece by piece.

    Raises `cryptography.exceptions.InvalidTag` for a file that was changed or cut.
    """
    waiting = bytearray()
    cipher = None
    pieces = 0
    async for part in source:
        waiting += part
        if cipher is None and len(waiting) >= len(_MAGIC) + _WRAPPED_BYTES:
            if not waiting.startswith(_MAGIC):
                raise InvalidTag
            wrapped = bytes(waiting[len(_MAGIC) : len(_MAGIC) + _WRAPPED_BYTES])
            cipher = AESGCM(_HPKE.decrypt(wrapped, private, _MAGIC + context))
            del waiting[: len(_MAGIC) + _WRAPPED_BYTES]
        while cipher is not None and len(waiting) > _CHUNK + _TAG_BYTES:
            piece = bytes(waiting[: _CHUNK + _TAG_BYTES])
            yield cipher.decrypt(_nonce(pieces, last=False), piece, context)
            del waiting[: _CHUNK + _TAG_BYTES]
            pieces += 1
    if cipher is None:
        raise InvalidTag
    yield cipher.decrypt(_nonce(pieces, last=True), bytes(waiting), context)


def _nonce(piece: int, *, last: bool) -> bytes:
    return piece.to_bytes(_NONCE_BYTES - 1, "big") + bytes([last])


def new_secret() -> str:
    """An opaque token with 256 bits of chance."""
    return secrets.token_urlsafe(32)


def secret_hash(secret: str) -> str:
    """What the database keeps of an opaque token: enough to recognise it."""
    return hashlib.sha256(secret.encode()).hexdigest()


def address_hmac(key: str, address: str) -> str:
    """A keyed pseudonym of an address, to count what is sent to it."""
    return hmac.new(key.encode(), b"address" + address.encode(), hashlib.sha256).hexdigest()


def signed(kind: str, payload: Any, *, key: ECKey) -> str:
    """A compact JWS of that `typ` over the canonical form of a payload."""
    header = {"alg": ALGORITHM, "kid": key.kid, "typ": kind}
    return jws.serialize_compact(header, canonical(payload), key, [ALGORITHM])
