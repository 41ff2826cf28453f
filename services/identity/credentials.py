"""Passwords, opaque tokens and signed tokens: pure functions over secrets."""

import asyncio
import hashlib
import hmac
import math
import secrets
import string
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from prometheus_client import Gauge, Histogram
from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher
from zxcvbn import zxcvbn

from chassis import evidence
from services.identity.errors import WeakPasswordError

ACCESS_LIFETIME = timedelta(minutes=5)
ERASURE_KEY_LIFETIME = timedelta(days=400)
AUDIENCES = ["identity", "directory", "consultations", "privacy", "notifications"]

MIN_PASSWORD_BITS = 50
"""CNIL deliberation 2022-100: 50 bits where attempts are throttled."""
MAX_PASSWORD_LENGTH = 128
MIN_GUESSES_LOG10 = 6
"""Below a million guesses a password is a known one or a small change of it."""

# OWASP's second profile of argon2id: 19 MiB, 2 passes, 1 lane. One costs about 40 ms here, so no more
# than two run at once, off the event loop.
_hasher = PasswordHash((Argon2Hasher(memory_cost=19_456, time_cost=2, parallelism=1),))
_argon2_slots = asyncio.Semaphore(2)
_waited = Histogram(
    "ccib_argon2_wait_seconds",
    "How long a password waited for its turn to be hashed",
    buckets=(0.001, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_queue = Gauge("ccib_argon2_queue", "Passwords that wait for their turn to be hashed")
_NOBODY = _hasher.hash(secrets.token_urlsafe())


def check_password(password: str, *, hints: Sequence[str]) -> None:
    """Raise `WeakPasswordError`, with what to do, unless the password is good enough."""
    alphabet = sum(
        size
        for letters, size in (
            (string.ascii_lowercase, 26),
            (string.ascii_uppercase, 26),
            (string.digits, 10),
        )
        if any(char in letters for char in password)
    )
    if any(char not in string.ascii_letters + string.digits for char in password):
        alphabet += 37
    bits = len(password) * math.log2(alphabet or 1)
    if bits < MIN_PASSWORD_BITS:
        raise WeakPasswordError(
            "Allongez-le, ou mêlez minuscules, majuscules, chiffres et autres signes."
        )
    estimate = zxcvbn(password[:72], user_inputs=list(hints))
    if float(estimate["guesses_log10"]) < MIN_GUESSES_LOG10:
        raise WeakPasswordError("Ce mot de passe est trop connu : choisissez-en un autre.")


@asynccontextmanager
async def _argon2() -> AsyncIterator[None]:
    _queue.inc()
    try:
        with _waited.time():
            await _argon2_slots.acquire()
    finally:
        _queue.dec()
    try:
        yield
    finally:
        _argon2_slots.release()


async def hash_password(password: str) -> str:
    """An argon2id hash."""
    async with _argon2():
        return await asyncio.to_thread(_hasher.hash, password)


async def password_matches(password: str, hashed: str | None) -> bool:
    """Whether the password is the one; without a hash it takes as long, and is false."""
    async with _argon2():
        try:
            same = await asyncio.to_thread(_hasher.verify, password, hashed or _NOBODY)
        except UnknownHashError:
            return False
    return same and hashed is not None


def new_secret() -> str:
    """An opaque token with 256 bits of chance."""
    return secrets.token_urlsafe(32)


def secret_hash(secret: str) -> str:
    """What the database keeps of an opaque token: enough to recognise it."""
    return hashlib.sha256(secret.encode()).hexdigest()


def address_hmac(key: str, email: str) -> str:
    """A keyed pseudonym of an address, for counting failures without keeping addresses."""
    return hmac.new(key.encode(), email.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class TokenKeys:
    """The keys in `tokens/`: all are published, the last by name signs."""

    private: tuple[ECKey, ...]

    @classmethod
    def load(cls, folder: Path) -> "TokenKeys":
        """Raises `FileNotFoundError` when there is no key."""
        found = [_load(path) for path in sorted(folder.glob("*.pem"))]
        if not found:
            raise FileNotFoundError(f"no token key in {folder}")
        return cls(tuple(found))

    def public(self) -> dict[str, Any]:
        """The JWKS document."""
        return {
            "keys": [
                {**key.as_dict(private=False), "use": "sig", "alg": evidence.ALGORITHM}
                for key in self.private
            ]
        }

    async def keys(self, *, renew: bool = False) -> KeySet:
        """Identity is its own source of verification keys (`chassis.auth.KeySource`)."""
        del renew
        return KeySet(list(self.private))

    def sign(self, kind: str, claims: dict[str, Any]) -> str:
        """A signed token of that `typ`."""
        key = self.private[-1]
        header = {"typ": kind, "alg": evidence.ALGORITHM, "kid": key.kid}
        return jwt.encode(header, claims, key, [evidence.ALGORITHM])


def _load(path: Path) -> ECKey:
    return ECKey.import_key(path.read_bytes(), {"kid": path.stem})


def access_claims(
    *,
    issuer: str,
    subject: str,
    now: datetime,
    audiences: Sequence[str] = AUDIENCES,
    session_id: UUID | None = None,
    roles: Sequence[str] = (),
    scopes: Sequence[str] = (),
) -> dict[str, Any]:
    """The claims of an access token (RFC 9068), valid five minutes."""
    claims: dict[str, Any] = {
        "iss": issuer,
        "sub": subject,
        "aud": list(audiences),
        "client_id": "ccib-web" if session_id else subject,
        "iat": int(now.timestamp()),
        "exp": int((now + ACCESS_LIFETIME).timestamp()),
        "jti": str(uuid4()),
    }
    if session_id:
        claims["sid"] = str(session_id)
    if roles:
        claims["roles"] = sorted(roles)
    if scopes:
        claims["scope"] = " ".join(sorted(scopes))
    return claims


def erasure_key_claims(*, issuer: str, erasure_id: UUID, now: datetime) -> dict[str, Any]:
    """The claims of the secret with which a person without an account follows their erasure."""
    return {
        "iss": issuer,
        "sub": str(erasure_id),
        "iat": int(now.timestamp()),
        "exp": int((now + ERASURE_KEY_LIFETIME).timestamp()),
        "jti": secrets.token_urlsafe(16),
    }
