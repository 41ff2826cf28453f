"""Every secret of the stack: random, made at the first run, kept in files only we can read."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey

from deploy.local.layout import SERVICES, Layout

SITE = "web"

CLIENTS = {
    "privacy": ["identity:addresses", "identity:lookup", "subjects:read"],
    "notifications": ["identity:addresses"],
    SITE: ["identity:browser-sessions"],
}
"""Who has a secret of their own for identity, and the scopes that their tokens may have."""


def make_secrets(layout: Layout) -> dict[str, str]:
    """Make what is missing; returns the password of each service (database and broker)."""
    layout.secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    (layout.trust / "evidence").mkdir(parents=True, exist_ok=True)
    passwords: dict[str, str] = {}
    for service in SERVICES:
        folder = layout.secrets / service
        folder.mkdir(mode=0o700, exist_ok=True)
        passwords[service] = _random(layout.secrets / f"{service}.password")
        evidence = _private_key(folder / "evidence.pem")
        (layout.trust / "evidence" / f"{service}.pem").write_bytes(_public_pem(evidence))
    site = layout.secrets / SITE
    site.mkdir(mode=0o700, exist_ok=True)
    _random(site / "forms.key")
    if "identity" in SERVICES:
        _random(layout.secrets / "identity" / "throttle.key")
        tokens = layout.secrets / "identity" / "tokens"
        tokens.mkdir(mode=0o700, exist_ok=True)
        # Two from the start, so that one can be retired while tokens of the other still live.
        for _ in range(2 - len(list(tokens.glob("*.pem")))):
            key = ec.generate_private_key(ec.SECP256R1())
            _write(tokens / f"{_thumbprint(key)}.pem", _private_pem(key))
        clients = {
            name: {"secret_sha256": hashlib.sha256(secret.encode()).hexdigest(), "scopes": scopes}
            for name, scopes in CLIENTS.items()
            if name in (*SERVICES, SITE)
            for secret in [_random(layout.secrets / name / "client_secret")]
        }
        _write(layout.secrets / "identity" / "clients.json", json.dumps(clients).encode())
    if "notifications" in SERVICES:
        _random(layout.secrets / "notifications" / "unsubscribe.key")
    if "privacy" in SERVICES:
        folder = layout.secrets / "privacy"
        _random(folder / "sealing.key")
        key_set = {"keys": [_public_jwk(_private_key(folder / "certificates.pem"))]}
        (layout.trust / "certificates.jwks.json").write_text(json.dumps(key_set, indent=2))
    return passwords


def random_passwords(layout: Layout, names: Iterable[str]) -> dict[str, str]:
    """Passwords of these names, made when missing."""
    layout.secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {name: _random(layout.secrets / f"{name}.password") for name in names}


def owner_passwords(layout: Layout) -> dict[str, str]:
    """The password of each database's owner, made when missing: the services never see it."""
    layout.secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {service: _random(layout.secrets / f"{service}.owner.password") for service in SERVICES}


def _random(path: Path) -> str:
    """32 random bytes in base64url, as everywhere a secret is asked for."""
    if not path.exists():
        text = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=")
        _write(path, text)
    return path.read_text()


def _private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    if not path.exists():
        _write(path, _private_pem(ec.generate_private_key(ec.SECP256R1())))
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} is not an elliptic-curve key")
    return key


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _public_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, object]:
    jwk = ECKey.import_key(_public_pem(key))
    return {**jwk.as_dict(private=False), "kid": jwk.thumbprint(), "use": "sig", "alg": "ES256"}


def _thumbprint(key: ec.EllipticCurvePrivateKey) -> str:
    """RFC 7638."""
    return ECKey.import_key(_public_pem(key)).thumbprint()


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.touch(mode=0o600)
    fresh.write_bytes(content)
    fresh.replace(path)
