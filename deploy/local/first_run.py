"""What only the first run does: demo data, demo accounts, a demo partner system.

What came of it is kept in `.local/first-run.json`; without that file a run is the first one. Each
step can be repeated, so an interrupted first run is finished by the next.

`CCIB_SEED_COMPANIES` (default 10500; 0 leaves the platform empty) and `CCIB_SEED_PASSWORD`
(default: random) change the demo. `ccib seed` does the same for a platform that was left empty.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from deploy.demo.accounts import DEMO_ACCOUNTS
from deploy.local.errors import SeedFailed
from deploy.local.layout import Layout, read_json, write_json

PARTNER = {
    "name": "demo",
    "contact": "exploitation@partenaire.example",
    "deadline_days": 30,
}


@dataclass(frozen=True, kw_only=True)
class FirstRun:
    """What later runs need to know."""

    accounts: dict[str, dict[str, str]] = field(default_factory=dict)
    """E-mail and password by role; demo only."""
    partner_url: str = ""
    """The demo partner's own broker user; empty without a partner."""
    partner_queue: str = ""


@dataclass(frozen=True, kw_only=True)
class Seeded:
    """What seeding left."""

    rows: dict[str, int]
    """Rows written now, by service; empty when the same demo was there already."""
    accounts: dict[str, dict[str, str]]


def ensure(
    *, layout: Layout, description: Mapping[str, Any], say: Callable[[str], None]
) -> FirstRun:
    """Do it once; afterwards read what came of it. Raises SeedFailed."""
    known = read_json(layout.first_run)
    wanted = os.environ.get("CCIB_SEED_COMPANIES", "")
    if "accounts" not in known and wanted != "0":
        say("first run: making demo data (nobody in it exists)")
        seed(
            layout=layout,
            stack=description,
            companies=int(wanted) if wanted else None,
            password=os.environ.get("CCIB_SEED_PASSWORD"),
            progress=lambda _, records: say(f"demo data: {records:,} records written"),
        )
        known = read_json(layout.first_run)
    if "partner" not in known and "privacy" in description["services"] and known.get("accounts"):
        say("registering the demo partner system")
        known["partner"] = register_partner(description, known["accounts"]["operator"])
        write_json(layout.first_run, known)
    partner = known.get("partner", {})
    return FirstRun(
        accounts=known.get("accounts", {}),
        partner_url=_partner_url(description, partner) if partner else "",
        partner_queue=partner.get("queue", ""),
    )


def seed(
    *,
    layout: Layout,
    stack: Mapping[str, Any],
    companies: int | None = None,
    password: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Seeded:
    """Fill the databases of the running stack, and note the demo accounts for later runs.

    `companies`: how many; as many as the platform has, when not given. `progress` is told how many
    companies are drawn and how many records are written.

    A seeding that was interrupted is finished, with the password that it began with. Raises
    SeedFailed, before anything is written when the databases hold other people or do not answer.
    """
    # A second of imports that later runs need not wait for.
    from deploy.demo.fill import SeedStoppedError, fill
    from deploy.demo.generate import COMPANIES
    from deploy.demo.load import SeedRefusedError

    before = read_json(layout.first_run)
    known = {"password": password or f"Demo-{secrets.token_hex(4)}", **before}
    # Before the rows: nobody could sign in to accounts whose password went with this process.
    write_json(layout.first_run, known)
    try:
        rows = asyncio.run(
            fill(
                # It makes temporary tables, which the services may not.
                urls=stack.get("owners") or stack["postgres"],
                password=known["password"],
                storage={
                    service: (Path(stack["storage"]) / service).as_uri()
                    for service in stack["services"]
                },
                companies=companies or COMPANIES,
                progress=progress,
            )
        )
    except SeedRefusedError as error:
        write_json(layout.first_run, before)
        raise SeedFailed(f"the demo data were refused: {error}") from error
    except SeedStoppedError as error:
        raise SeedFailed(f"the demo data could not be written: {error}") from error
    known.setdefault(
        "accounts",
        {
            role: {"email": email, "password": known["password"]}
            for role, email in DEMO_ACCOUNTS.items()
        },
    )
    write_json(layout.first_run, known)
    return Seeded(rows=rows, accounts=known["accounts"])


def register_partner(stack: Mapping[str, Any], operator: Mapping[str, str]) -> dict[str, str]:
    """Through the operator's door, as a chamber would; its password is shown this once."""
    with httpx2.Client(base_url=stack["gateway"], timeout=30) as gateway:
        session = _expect(gateway.post("/api/identity/sessions", json=dict(operator)))
        answer = gateway.post(
            "/api/privacy/participants",
            json=PARTNER,
            headers={"Authorization": f"Bearer {session['access_token']}"},
        )
        credentials: dict[str, str] = _expect(answer)
        return credentials


def _partner_url(stack: Mapping[str, Any], partner: Mapping[str, str]) -> str:
    """The broker's port is another one at each run."""
    place = urlsplit(stack["amqp"]).netloc.rpartition("@")[2]
    return (
        f"amqp://{partner['user']}:{partner['password']}@{place}/{partner['vhost']}"
        "?heartbeat=10&reconnect_interval=1"
    )


def _expect(answer: httpx2.Response) -> dict[str, Any]:
    if not answer.is_success:
        raise SeedFailed(
            f"{answer.request.method} {answer.request.url.path} was refused: "
            f"{answer.status_code} {answer.text[:300]}"
        )
    content: dict[str, Any] = answer.json()
    return content
