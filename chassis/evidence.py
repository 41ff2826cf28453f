"""Signed statements: canonical JSON, ES256, and keys known beforehand.

A signature is a compact JWS with a detached payload (RFC 7515, appendix F): the statement travels as
plain data, and whoever verifies rebuilds the payload from it.
"""

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

ALGORITHM = "ES256"


class _Registry(jws.JWSRegistry):
    """The library's limit is 128 kB; the evidence for 500 people is larger."""

    max_payload_length = 64_000_000


_REGISTRY = _Registry(algorithms=[ALGORITHM])


class SignatureError(Exception):
    """The signature is absent, malformed, of another key, or over other data."""


def canonical(data: Any) -> bytes:
    """The one byte string for this JSON value (RFC 8785 for values without fractions)."""
    return json.dumps(
        data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(data: Any) -> str:
    """SHA-256 of the canonical bytes, in hexadecimal."""
    return hashlib.sha256(canonical(data)).hexdigest()


def load_key(path: Path) -> ECKey:
    """A P-256 key from a PEM file, private or public; its kid is its thumbprint (RFC 7638)."""
    return import_key(path.read_bytes())


def import_key(pem: bytes | str | dict[str, Any]) -> ECKey:
    """A P-256 key from PEM or JWK, with its thumbprint as kid."""
    key = ECKey.import_key(pem)
    key.ensure_kid()
    return key


def public_key(jwk: Mapping[str, Any]) -> ECKey:
    """The key of this JWK; parsed once."""
    return _parsed(canonical(jwk))


@lru_cache(maxsize=64)
def _parsed(jwk: bytes) -> ECKey:
    return import_key(json.loads(jwk))


def sign(data: Any, key: ECKey) -> str:
    """A detached signature over the canonical form of `data`."""
    header = {"alg": ALGORITHM, "kid": key.kid}
    head, _, tail = jws.serialize_compact(header, canonical(data), key, [ALGORITHM]).split(".")
    return f"{head}..{tail}"


def verify(data: Any, signature: str, key: ECKey) -> None:
    """Raise `SignatureError` unless `signature` is this key's over the canonical form of `data`."""
    parts = signature.split(".")
    if len(parts) != 3:
        raise SignatureError("malformed")
    try:
        payload = urlsafe_b64encode(canonical(data)).rstrip(b"=").decode()
        jws.deserialize_compact(f"{parts[0]}.{payload}.{parts[2]}", key, registry=_REGISTRY)
    except (JoseError, ValueError) as error:
        raise SignatureError(type(error).__name__) from error
