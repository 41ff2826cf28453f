"""The processes of the stack: how each is started, and what its environment says."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local import gateway
from deploy.local.backing import Servers
from deploy.local.keys import SITE
from deploy.local.layout import Layout
from deploy.local.provision import VHOST, amqp_url
from deploy.local.supervisor import Child

DPO_ADDRESS = "dpo@ccibusiness.example"
MAIL_FROM = "CCI Business <ne-pas-repondre@ccibusiness.example>"

# Ours alone: administrators' passwords, and what the seed is told.
NOT_PASSED_ON = ("CCIB_POSTGRES", "CCIB_AMQP", "CCIB_RABBITMQ", "CCIB_SEED")


@dataclass(frozen=True, kw_only=True)
class Ports:
    """TCP ports of 127.0.0.1: two that people know, the others free ones."""

    gateway: int
    mail: int
    smtp: int
    web: int
    site: int
    """The gateway's door for the site."""
    services: Mapping[str, int]
    operations: Mapping[str, int]
    """Probes and metrics of each service, and of `web`."""

    def operations_url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.operations[name]}"

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.services[service]}"

    @property
    def public(self) -> str:
        return f"http://127.0.0.1:{self.gateway}"


def base_environment() -> dict[str, str]:
    """The little a process needs of ours, and the caller's own `CCIB_…` settings."""
    kept = {"PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT"}
    ours = {
        name: value
        for name, value in os.environ.items()
        if name in kept or (name.startswith("CCIB_") and not name.startswith(NOT_PASSED_ON))
    }
    return ours | {"PYTHONUNBUFFERED": "1"}


def service_environment(
    service: str, *, layout: Layout, ports: Ports, database_url: str
) -> dict[str, str]:
    """What a service and its migrations are told; the broker is added when it answers."""
    return base_environment() | {
        "CCIB_DATABASE_URL": database_url,
        "CCIB_BROKER_PREFIX": "",
        "CCIB_IDENTITY_URL": ports.url("identity") if "identity" in ports.services else "",
        "CCIB_ISSUER": ports.public,
        "CCIB_PUBLIC_URL": ports.public,
        "CCIB_STORAGE_URL": (layout.storage / service).as_uri(),
        "CCIB_LEDGER_URL": layout.ledger.as_uri(),
        "CCIB_SECRETS_DIR": str(layout.secrets / service),
        "CCIB_TRUST_DIR": str(layout.trust),
        "CCIB_SMTP_URL": f"smtp://127.0.0.1:{ports.smtp}",
        "CCIB_MAIL_FROM": MAIL_FROM,
        "CCIB_DPO_ADDRESS": DPO_ADDRESS,
        "CCIB_RUN_WORKER": "true",
        "CCIB_API_DOCS": "true",
        "CCIB_LOG_FORMAT": "json",
        "CCIB_OPERATIONS_PORT": str(ports.operations[service]),
        **({"CCIB_SERVICE_URLS": _service_urls(ports)} if service == "privacy" else {}),
    }


def _service_urls(ports: Ports) -> str:
    """Where privacy asks what is held about somebody."""
    return json.dumps({service: ports.url(service) for service in ports.services})


def broker_environment(service: str, *, servers: Servers, secret: str) -> dict[str, str]:
    """The service's own broker user; privacy also administers those of partner systems."""
    told = {"CCIB_AMQP_URL": amqp_url(servers, user=service, secret=secret)}
    if service == "privacy":
        told["CCIB_BROKER_ADMIN_URL"] = f"{servers.management_url}/{VHOST}"
    return told


def service_child(
    service: str, *, layout: Layout, ports: Ports, environment: Mapping[str, str]
) -> Child:
    return Child(
        name=service,
        command=_uvicorn(
            f"services.{service}.main:create_app",
            port=ports.services[service],
            # Longer than the 10 s in which a service's loops finish what they hold.
            options=["--timeout-graceful-shutdown", "5"],
        ),
        environment=environment,
        log=layout.logs / f"{service}.log",
        ready_url=f"{ports.url(service)}/health/ready",
    )


def mail_child(*, layout: Layout, ports: Ports) -> Child:
    return Child(
        name="mail",
        command=_uvicorn("deploy.local.mail:create_app", port=ports.mail),
        environment=base_environment()
        | {"CCIB_MAIL_SPOOL": str(layout.mail), "CCIB_MAIL_SMTP_PORT": str(ports.smtp)},
        log=layout.logs / "mail.log",
        ready_url=f"http://127.0.0.1:{ports.mail}/messages",
    )


def web_child(*, layout: Layout, ports: Ports) -> Child:
    return Child(
        name="web",
        command=_uvicorn("web.main:create_app", port=ports.web),
        environment=base_environment()
        | {
            "CCIB_GATEWAY_URL": f"http://127.0.0.1:{ports.site}",
            "CCIB_PUBLIC_URL": ports.public,
            "CCIB_SECRETS_DIR": str(layout.secrets / SITE),
            "CCIB_LOG_FORMAT": "json",
            "CCIB_OPERATIONS_PORT": str(ports.operations["web"]),
        },
        log=layout.logs / "web.log",
        ready_url=f"http://127.0.0.1:{ports.web}/health/ready",
    )


def gateway_child(*, layout: Layout, ports: Ports) -> Child:
    configuration = gateway.write_configuration(
        layout.state / "gateway",
        port=ports.gateway,
        site_port=ports.site,
        services={service: ports.url(service) for service in ports.services},
        web=f"http://127.0.0.1:{ports.web}",
    )
    return Child(
        name="gateway",
        command=[
            Path(sys.executable).with_name("traefik"),
            f"--configfile={configuration}",
        ],
        environment=base_environment(),
        log=layout.logs / "gateway.log",
        ready_url=f"{ports.public}/",
    )


def partner_child(*, layout: Layout, amqp_url: str, queue: str) -> Child:
    return Child(
        name="partner",
        command=[sys.executable, "-m", "deploy.local.partner"],
        environment=base_environment()
        | {
            "CCIB_PARTNER_AMQP_URL": amqp_url,
            "CCIB_PARTNER_QUEUE": queue,
            "CCIB_PARTNER_STATE": str(layout.state / "partner.json"),
        },
        log=layout.logs / "partner.log",
    )


def _uvicorn(factory: str, *, port: int, options: list[str] | None = None) -> list[str]:
    """No access log: the services write their own, without addresses or tokens."""
    return [
        sys.executable,
        *("-m", "uvicorn", "--factory", factory),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--no-access-log", "--no-server-header", "--no-proxy-headers"),
        *(options or []),
    ]
