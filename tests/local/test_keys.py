"""Secrets: made once, kept, and closed to others."""

import hashlib
import json
import stat
from pathlib import Path

from joserfc import jws
from joserfc.jwk import ECKey, KeySet

from deploy.local.keys import CLIENTS, make_secrets
from deploy.local.layout import SERVICES, Layout


def test_secrets_are_random_kept_and_readable_by_us_only(tmp_path: Path) -> None:
    one, other = Layout(tmp_path / "one"), Layout(tmp_path / "other")
    passwords = make_secrets(one)
    before = contents(one.secrets)
    assert passwords.keys() == set(SERVICES)
    assert make_secrets(one) == passwords
    assert contents(one.secrets) == before
    assert make_secrets(other) != passwords
    for path in one.secrets.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_each_service_signs_with_a_key_that_the_others_can_check(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    make_secrets(layout)
    for service in SERVICES:
        private = pem(layout.secrets / service / "evidence.pem")
        public = pem(layout.trust / "evidence" / f"{service}.pem")
        assert private.thumbprint() == public.thumbprint()
        assert "BEGIN PRIVATE KEY" in (layout.secrets / service / "evidence.pem").read_text()


def test_identity_has_two_token_keys_named_by_their_thumbprint(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    make_secrets(layout)
    keys = list((layout.secrets / "identity" / "tokens").glob("*.pem"))
    assert len(keys) == 2
    assert all(pem(path).thumbprint() == path.stem for path in keys)


def test_identity_knows_the_clients_by_hash_only(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    make_secrets(layout)
    clients = json.loads((layout.secrets / "identity" / "clients.json").read_text())
    for name, client in clients.items():
        secret = (layout.secrets / name / "client_secret").read_text()
        assert client == {
            "secret_sha256": hashlib.sha256(secret.encode()).hexdigest(),
            "scopes": CLIENTS[name],
        }


def test_a_certificate_verifies_against_the_published_key_set(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    make_secrets(layout)
    published = json.loads((layout.trust / "certificates.jwks.json").read_text())
    private = pem(layout.secrets / "privacy" / "certificates.pem")
    signed = jws.serialize_compact(
        {"alg": "ES256", "kid": private.thumbprint()}, b"erased", private
    )
    assert jws.deserialize_compact(signed, KeySet.import_key_set(published)).payload == b"erased"
    assert "d" not in published["keys"][0]


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pem(path: Path) -> ECKey:
    return ECKey.import_key(path.read_bytes())
