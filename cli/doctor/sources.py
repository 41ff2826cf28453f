"""Where the doctor looks: inside doors, the broker's administration, databases, the ledger copy.

From the environment when it names any of them, else from the description that a local stack keeps of
itself. What is not known is not looked at, and said so.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import typer

from cli.console import UNREADABLE, stop
from cli.platform import authority, described, named_databases


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Addresses; empty where unknown."""

    gateway: str = ""
    services: dict[str, str] = field(default_factory=dict)
    """Inside addresses: health does not pass the gateway."""
    operations: dict[str, str] = field(default_factory=dict)
    """Where their metrics are."""
    management: str = ""
    """The broker's administration, with user and password, without a path."""
    management_ca: Path | None = None
    """The authority that vouches for it; else those of the machine."""
    vhost: str = "/"
    databases: dict[str, str] = field(default_factory=dict)
    ledger: str = ""
    folders: tuple[Path, ...] = ()
    """Of a local stack, on this machine."""
    logs: Path | None = None
    trust: Path | None = None
    pids: dict[str, list[int]] = field(default_factory=dict)


def find(stack: Path) -> Sources:
    """The sources of this platform. Ends the command when there is none."""
    environ = os.environ
    ca_file = authority("CCIB_AMQP_CA_FILE")
    admin = urlsplit(environ.get("CCIB_BROKER_ADMIN_URL", ""))
    if ca_file is not None:  # never in the clear
        admin = admin._replace(scheme="https")
    given = Sources(
        gateway=environ.get("CCIB_URL", "").rstrip("/"),
        services=_urls("CCIB_SERVICE_URLS"),
        operations=_urls("CCIB_OPERATIONS_URLS"),
        management=admin._replace(path="").geturl() if admin.netloc else "",
        management_ca=ca_file,
        vhost=unquote(admin.path.removeprefix("/")) or "/",
        databases=named_databases(),
        ledger=environ.get("CCIB_LEDGER_URL", ""),
    )
    if given.gateway or given.services or given.management or given.databases:
        return given
    return _local(described(stack), stack)


def _local(told: dict[str, Any], stack: Path) -> Sources:
    try:
        return Sources(
            gateway=told["gateway"],
            services=told["services"],
            operations=told["operations"],
            management=told["management"].rstrip("/"),
            vhost=unquote(urlsplit(told["amqp"]).path.removeprefix("/")) or "/",
            databases=told["postgres"],
            ledger=Path(told["ledger"]).as_uri(),
            folders=(stack.absolute().parent, *(Path(told[name]) for name in ("storage", "logs"))),
            logs=Path(told["logs"]),
            trust=Path(told["trust"]),
            pids=told["pids"],
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise stop(f"{stack}: not the description of a stack ({error})", UNREADABLE) from None


def _urls(variable: str) -> dict[str, str]:
    try:
        found = json.loads(os.environ.get(variable, "{}"))
        return {str(name): str(url).rstrip("/") for name, url in found.items()}
    except (ValueError, AttributeError):
        raise typer.BadParameter(f"{variable} is no JSON object of addresses") from None
