"""No revision holds up a running platform: squawk reads the SQL that each one really sends.

A new database's tables are empty, and nobody waits for them: the revisions before the first release are
looked at for mistakes, not for locks.
"""

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Engine, MetaData, event

from chassis import migrations

SERVICES = sorted(path.parent.name for path in Path("services").glob("*/wiring.py"))
TIMEOUTS = "SET lock_timeout = '5s'; SET statement_timeout = '60s';"
"""What `chassis.migrations` says to a database first."""

SQUAWK = Path(sys.executable).with_name("squawk")

NOT_FOR_US = {
    "prefer-robust-stmts": "a revision is one transaction: what failed left nothing",
    "ban-drop-not-null": "nobody but the service itself reads its tables",
    "prefer-bigint-over-int": "small numbers, each with a CHECK that says how small",
    "prefer-bigint-over-smallint": "the same",
    "prefer-text-field": "a stated length is a limit of the interface, kept by the database too",
}
NEW = {"consultations": 3, "directory": 3, "identity": 3, "notifications": 5, "privacy": 9}
"""The revisions that no installation was ever without; this list grows no more."""
ON_EMPTY_TABLES = (
    "adding-field-with-default",
    "adding-serial-primary-key-field",
    "adding-foreign-key-constraint",
    "ban-drop-constraint",
    "constraint-missing-not-valid",
    "disallowed-unique-constraint",
    "require-concurrent-index-creation",
    "require-concurrent-index-deletion",
)
"""What waits for as long as there are rows, and costs nothing without any."""


@contextmanager
def revisions() -> Iterator[list[list[str]]]:
    """What is sent to databases meanwhile, one list for each revision."""
    sent: list[list[str]] = [[]]

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        words = statement.split()[:3]
        if "alembic_version" in words:
            if words[0] in {"INSERT", "UPDATE"}:
                sent.append([])
        elif words[0] in {"CREATE", "ALTER", "DROP", "COMMENT", "UPDATE", "DELETE", "INSERT"}:
            sent[-1].append(f"{statement};")

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def dangers(sql: list[str], *, new: bool) -> list[str]:
    """What squawk says of one revision: rule, then the line."""
    done = subprocess.run(
        [
            SQUAWK,
            "--reporter=json",
            "--assume-in-transaction",
            "--pg-version=15",
            f"--exclude={','.join([*NOT_FOR_US, *(ON_EMPTY_TABLES if new else ())])}",
        ],
        input="\n".join([TIMEOUTS, *sql]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    return [f"{one['rule_name']}: {sql_line(sql, one['line'])}" for one in json.loads(done.stdout)]


def sql_line(sql: list[str], number: int) -> str:
    return "\n".join([TIMEOUTS, *sql]).splitlines()[number]


async def sent(folder: Path, metadata: MetaData, servers: SimpleNamespace) -> list[list[str]]:
    """The statements of each revision in the folder, on a new database."""
    name = f"d{secrets.token_hex(5)}"
    connection = await asyncpg.connect(servers.postgres_url)
    try:
        await connection.execute(f'create database "{name}"')
    finally:
        await connection.close()
    url = f"{servers.postgres_url.rpartition('/')[0]}/{name}"
    with revisions() as seen:
        await asyncio.to_thread(migrations.upgrade, folder, metadata, url)
    *each, after = seen
    assert all(each)
    assert all(one.startswith("COMMENT") for one in after)
    return each


@pytest.mark.parametrize("service", SERVICES)
async def test_no_revision_locks_what_people_use(service: str, servers: SimpleNamespace) -> None:
    wired = import_module(f"services.{service}.wiring").SERVICE
    folder = Path("services") / service / "migrations"
    each = await sent(folder, wired.catalogue.metadata, servers)
    assert len(each) == len(list((folder / "versions").glob("*.py")))
    assert not [
        (number, danger)
        for number, sql in enumerate(each, start=1)
        for danger in dangers(sql, new=number <= NEW[service])
    ]


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("CREATE INDEX company_name ON company (name)", "require-concurrent-index-creation"),
        ("ALTER TABLE company ALTER COLUMN name SET NOT NULL", "adding-not-nullable-field"),
        ("ALTER TABLE company RENAME COLUMN name TO label", "renaming-column"),
        ("ALTER TABLE company ALTER COLUMN naf TYPE bigint", "changing-column-type"),
    ],
)
def test_a_dangerous_one_is_named(statement: str, rule: str) -> None:
    assert [one.partition(":")[0] for one in dangers([f"{statement};"], new=False)] == [rule]
