"""Make what `deploy/compose.yaml` mounts: `python -m deploy.compose.prepare`.

Into `deploy/compose/generated/`, which git ignores: passwords and keys (made once and kept), the
public keys, the SQL that makes databases and roles, the broker's definitions, the gateway's routes.
All of it comes from the code that the local stack uses.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chassis import topology
from deploy.local import gateway, keys
from deploy.local.layout import REPOSITORY, SERVICES, Layout
from deploy.local.prepare import definitions
from deploy.local.provision import VHOST, database, owner_role, runtime_role

FOLDER = REPOSITORY / "deploy" / "compose" / "generated"
ADMINISTRATORS = ("postgres", "rabbitmq", "grafana")
DEMO = "demo"
"""Whose password all accounts of the demo have."""
TOKENS = ("token-1.pem", "token-2.pem")
"""Identity's token keys under fixed names, which a file of compose can name."""


def write(folder: Path = FOLDER) -> None:
    """Make what is missing; secrets that are there stay as they are."""
    layout = Layout(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # nobody else on this machine may enter
    passwords = keys.make_secrets(layout)
    owners = keys.owner_passwords(layout)
    admins = keys.random_passwords(layout, (*ADMINISTRATORS, DEMO))
    made = sorted((layout.secrets / "identity" / "tokens").glob("*.pem"))
    for path, name in zip(made, TOKENS, strict=False):
        shutil.copyfile(path, layout.secrets / "identity" / name)
    (folder / "roles.sql").write_text("".join(f"{one};\n" for one in roles(passwords, owners)))
    (folder / "definitions.json").write_text(
        json.dumps(broker(passwords, administrator=admins["rabbitmq"]), indent=2)
    )
    gateway.write_configuration(
        folder / "gateway",
        port=8000,
        site_port=8001,
        services={service: f"http://{service}:8080" for service in SERVICES},
        web="http://web:8080",
        host="",
        installed=Path("/etc/traefik"),
    )
    # Containers run as users of their own. Compose mounts secrets from files as they are.
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o444)


def roles(passwords: Mapping[str, str], owners: Mapping[str, str]) -> list[str]:
    """Databases and their two roles each, for a server on which there are none."""
    found = []
    for service, secret in passwords.items():
        name, owner, runtime = database(service), owner_role(service), runtime_role(service)
        found += [
            f"CREATE ROLE \"{owner}\" LOGIN PASSWORD '{owners[service]}'",
            f"CREATE ROLE \"{runtime}\" LOGIN PASSWORD '{secret}'",
            f'CREATE DATABASE "{name}" OWNER "{owner}"',
            f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC',
            f'GRANT CONNECT ON DATABASE "{name}" TO "{runtime}"',
        ]
    return found


def broker(passwords: Mapping[str, str], *, administrator: str) -> dict[str, Any]:
    """What RabbitMQ imports at each start: it never has its guest user."""
    wanted = definitions(vhost=VHOST, passwords=passwords)
    # The same way of writing a password down, without any right of a service.
    [admin] = topology.definitions(vhost=VHOST, passwords={"admin": administrator}, consumes={})[
        "users"
    ]
    wanted["users"].append(admin | {"tags": ["administrator"]})
    wanted["permissions"].append(
        {"user": "admin", "vhost": VHOST, "configure": ".*", "write": ".*", "read": ".*"}
    )
    return wanted


def main() -> int:
    """The command; returns its exit code."""
    write()
    sys.stdout.write(f"{FOLDER.relative_to(REPOSITORY)}: made what was missing\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
