"""What the image of the demo runs: on real databases as their owners, with secrets in files."""

import asyncio
import json
import os
import secrets
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit, urlunsplit

import pytest

from chassis.migrations import upgrade
from deploy.demo.accounts import DEMO_ACCOUNTS
from deploy.demo.load import WRITERS
from deploy.local.layout import REPOSITORY
from deploy.local.provision import (
    database,
    database_urls,
    make_databases,
    owner_role,
    runtime_role,
)
from services.identity.wiring import SERVICE as IDENTITY
from tests.mailbox import Mailbox
from tests.seed.conftest import publish, rows
from tests.stand import standing

WORD = "un mot de passe / avec des signes"
STRANGER = "insert into data_subject (id) values (gen_random_uuid())"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


def told(urls: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment of the command, and the files that it names: no password in an address."""
    kept, addresses = folder / "secrets", {}
    kept.mkdir()
    (kept / "demo_password").write_text(f"{WORD}\n")
    for service, url in urls.items():
        parts = urlsplit(url)
        (kept / f"database_password_{service}").write_text(parts.password or "")
        place = f"{parts.username}@{parts.netloc.rpartition('@')[2]}"
        addresses[service] = urlunsplit(parts._replace(netloc=place))
    return {
        "CCIB_DATABASE_URLS": json.dumps(addresses),
        "CCIB_SECRETS_DIR": str(kept),
        "CCIB_STORAGE_URL": (folder / "storage").as_uri(),
        "CCIB_SEED_COMPANIES": "30",
    }


async def run(environment: Mapping[str, str]) -> Said:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.demo.main"),
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await process.communicate()
    said = Said(code=process.returncode or 0, out=out.decode(), err=err.decode())
    assert WORD not in said.out + said.err
    return said


@pytest.fixture
async def migrated(servers: SimpleNamespace) -> AsyncIterator[SimpleNamespace]:
    """Every database as a platform has it: an owner who migrated it, and the service's own role."""
    mark = f"d{secrets.token_hex(4)}_"
    names = {service: f"{mark}{service}" for service in WRITERS}
    words = {name: secrets.token_urlsafe(16) for name in names.values()}
    owners = database_urls(servers.postgres_url, words, role=owner_role)
    own = database_urls(servers.postgres_url, words)
    make_databases(servers.postgres_url, words, owners=words, fresh=False)
    for service, name in names.items():
        folder = REPOSITORY / "services" / service / "migrations"
        metadata = import_module(f"services.{service}.models").catalogue.metadata
        role = runtime_role(name)
        await asyncio.to_thread(upgrade, folder, metadata, owners[name], runtime_role=role)
    yield SimpleNamespace(
        owners={service: owners[name] for service, name in names.items()},
        own={service: own[name] for service, name in names.items()},
    )
    for name in names.values():
        await rows(servers.postgres_url, f'drop database "{database(name)}" with (force)')
        roles = f'"{runtime_role(name)}", "{owner_role(name)}"'
        await rows(servers.postgres_url, f"drop role {roles}")


async def test_it_fills_a_platform_once_and_its_accounts_can_sign_in(
    migrated: SimpleNamespace, servers: SimpleNamespace, mailbox: Mailbox, tmp_path: Path
) -> None:
    environment = told(migrated.owners, tmp_path)
    early = await run(environment)
    assert (early.code, early.out) == (1, "")
    assert "privacy has published no notice yet" in early.err

    await publish(servers, migrated.own["privacy"], mailbox, tmp_path)
    done = await run(environment)
    assert done.code == 0, done.err
    assert all(f"{service}: " in done.out for service in WRITERS)
    assert all(email in done.out for email in DEMO_ACCOUNTS.values())
    [[companies]] = await rows(migrated.own["directory"], "select count(*) from company")
    assert companies == 30
    photos = await rows(migrated.own["directory"], "select storage_key from photo")
    assert photos
    assert all((tmp_path / "storage" / key).is_file() for (key,) in photos)
    agreed = await rows(migrated.own["privacy"], "select distinct notice_version from consent")
    assert agreed == await rows(migrated.own["privacy"], "select version from notice")

    again = await run(environment)
    assert again.code == 0, again.err
    assert "the demo was there already" in again.out
    assert all(email in again.out for email in DEMO_ACCOUNTS.values())

    other = await run(environment | {"CCIB_SEED_COMPANIES": "40"})
    assert (other.code, other.out) == (1, "")
    assert "another demo" in other.err

    async with standing(
        IDENTITY,
        servers=servers,
        folder=tmp_path,
        smtp_url=mailbox.url,
        worker=False,
        database_url=migrated.own["identity"],
    ) as identity:
        for email in DEMO_ACCOUNTS.values():
            answer = await identity.client.post(
                "/api/identity/sessions", json={"email": email, "password": WORD}
            )
            assert answer.status_code < 300, answer.text


async def test_a_platform_with_people_of_its_own_is_refused(
    urls: dict[str, str], servers: SimpleNamespace, mailbox: Mailbox, tmp_path: Path
) -> None:
    await publish(servers, urls["privacy"], mailbox, tmp_path)
    await rows(urls["notifications"], STRANGER)
    refused = await run(told(urls, tmp_path))
    assert (refused.code, refused.out) == (1, "")
    assert refused.err == (
        "the demo data were refused: notifications already holds people that are not of this demo\n"
    )
    for service in urls.keys() - {"notifications"}:
        assert await rows(urls[service], "select 1 from data_subject") == []


async def test_what_is_missing_is_named(urls: dict[str, str], tmp_path: Path) -> None:
    environment = told(urls, tmp_path)
    silent = dict.fromkeys(WRITERS, "postgresql://ccib@127.0.0.1:9/ccib")
    away = await run(environment | {"CCIB_DATABASE_URLS": json.dumps(silent)})
    assert (away.code, away.out) == (3, "")
    assert "the demo data could not be written" in away.err
    assert "Traceback" not in away.err

    del silent["privacy"]
    fewer = await run(environment | {"CCIB_DATABASE_URLS": json.dumps(silent)})
    assert fewer.code != 0
    assert "one address for each of identity, directory, consultations" in fewer.err

    (tmp_path / "secrets" / "database_password_directory").unlink()
    without = await run(environment)
    assert without.code != 0
    assert "database_password_directory cannot be read" in without.err
