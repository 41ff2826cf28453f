"""Make the secrets of a new platform: `python -m deploy.k8s.secrets FOLDER`.

Writes every Secret and the ConfigMaps of public keys into FOLDER, as manifests: one file each, readable by
you alone. Keep that folder out of the repository: put its content into your vault (components/external-secrets),
encrypt it (components/sops), or apply it by hand to try something out. What is there already stays.

With `--demo` also the password of the demo's accounts (components/demo-data).

What only others can give is left as `CHANGE-ME`: the mail server's password, the object store's keys.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.k8s.members import MEMBERS
from deploy.local import keys
from deploy.local.layout import Layout

NAMESPACE = "ccib"
UNKNOWN = "CHANGE-ME"
_LOGIN = "kubernetes.io/basic-auth"
_BROKER = {"rabbitmq.com/topology-operator": "true"}
"""Without it the messaging topology operator does not see a Secret."""


def manifests(made: Layout) -> Iterator[dict[str, Any]]:
    """Every Secret and ConfigMap that the manifests name and do not contain.

    `made` holds the keys, as the local stack lays them out.
    """
    for member in MEMBERS:
        folder = made.secrets / member.name
        yield _secret(
            f"{member.name}-keys", {key: (folder / key).read_text() for key in member.keys}
        )
        role = f"ccib_{member.name}"
        yield _login(f"database-{member.name}", role)
        yield _login(f"database-{member.name}-owner", f"{role}_owner")
        yield _login(f"broker-{member.name}", member.name, labels=_BROKER)
        yield _secret(f"storage-{member.name}", _store())
    site = made.secrets / keys.SITE
    yield _secret(
        "web-keys", {key: (site / key).read_text() for key in ("client_secret", "forms.key")}
    )
    yield _secret("identity-tokens", _files(made.secrets / "identity" / "tokens"))
    yield _secret("smtp", {"password": UNKNOWN})
    yield _secret("storage-backups", _store())
    yield _login("broker-admin", "ccib-admin", labels=_BROKER)
    monitoring = _login("broker-monitoring", "ccib-monitoring", labels=_BROKER)
    yield monitoring
    word = monitoring["stringData"]["password"]
    host = f"https://ccib-monitoring:{word}@rabbitmq.{NAMESPACE}.svc:15671"
    yield _secret("broker-monitoring-url", {"host": host, "tls": "enable"})
    yield _public(
        "trust", {"certificates.jwks.json": (made.trust / "certificates.jwks.json").read_text()}
    )
    yield _public("trust-evidence", _files(made.trust / "evidence"))


def demo() -> dict[str, Any]:
    """The Secret with the password that all accounts of the demo have; no platform with people has it."""
    return _secret("demo", {"password": secrets.token_urlsafe(32)})


def needed() -> list[dict[str, Any]]:
    """The Secrets among them, without their content: name, type, labels."""
    with tempfile.TemporaryDirectory() as folder:
        made = Layout(Path(folder))
        keys.make_secrets(made)
        return [
            {**manifest, "stringData": sorted(manifest["stringData"])}
            for manifest in manifests(made)
            if manifest["kind"] == "Secret"
        ]


def logins() -> list[dict[str, Any]]:
    """The Secrets with a user and a password; the passwords are new ones."""
    with tempfile.TemporaryDirectory() as folder:
        made = Layout(Path(folder))
        keys.make_secrets(made)
        return [one for one in manifests(made) if one.get("type") == _LOGIN]


def write(folder: Path, *, with_demo: bool = False) -> list[Path]:
    """Write what is missing; returns what was written."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = Layout(folder / "keys")
    keys.make_secrets(made)
    written = []
    for manifest in [*manifests(made), *([demo()] if with_demo else [])]:
        path = folder / f"{manifest['metadata']['name']}.yaml"
        if path.exists():
            continue
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(manifest, sort_keys=False), encoding="utf-8")
        written.append(path)
    return written


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.k8s.secrets")
    parser.add_argument("folder", type=Path, help="outside the repository, or under .local/")
    parser.add_argument("--demo", action="store_true", help="for a platform of demo data, too")
    told = parser.parse_args(arguments)
    for path in write(told.folder, with_demo=told.demo):
        missing = f" (says {UNKNOWN})" if UNKNOWN in path.read_text(encoding="utf-8") else ""
        sys.stdout.write(f"written: {path}{missing}\n")
    return 0


def _login(name: str, user: str, *, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A password as both the operators and the pods read it. Of letters and digits that an address may hold."""
    word = {"username": user, "password": secrets.token_urlsafe(32)}
    return _secret(name, word, kind=_LOGIN, labels=labels)


def _store() -> dict[str, str]:
    return {"access_key_id": UNKNOWN, "secret_access_key": UNKNOWN}


def _files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def _secret(
    name: str,
    data: Mapping[str, str],
    *,
    kind: str = "Opaque",
    labels: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(name, labels),
        "type": kind,
        "stringData": dict(data),
    }


def _public(name: str, data: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(name, None),
        "data": dict(data),
    }


def _metadata(name: str, labels: Mapping[str, str] | None) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": NAMESPACE,
        "labels": {"app.kubernetes.io/part-of": "ccib", **(labels or {})},
    }


if __name__ == "__main__":
    sys.exit(main())
