"""Migrations of a service: Alembic, from the declarations, with bounded locks.

Run by `python -m services.<name>.migrations`; a new revision is written by
`python -m services.<name>.migrations revision "what it does"` against an up-to-date database.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from alembic import command, context
from alembic.config import Config
from sqlalchemy import MetaData, text
from sqlalchemy.engine import Connection
from sqlmodel.sql.sqltypes import AutoString

from chassis import crash
from chassis.db import engine

_ONE_MIGRATOR = 0x0CC1B


def upgrade(folder: Path, metadata: MetaData, url: str) -> None:
    """Bring the database at `url` to the newest revision in `folder`."""
    command.upgrade(_config(folder, metadata, url), "head")


def main(folder: Path, metadata: MetaData) -> None:
    """The command line of `python -m services.<name>.migrations`."""
    url = os.environ["CCIB_DATABASE_URL"]
    match sys.argv[1:]:
        case []:
            upgrade(folder, metadata, url)
        case ["revision", message]:
            number = len(list((folder / "versions").glob("*.py"))) + 1
            command.revision(
                _config(folder, metadata, url),
                message,
                autogenerate=True,
                rev_id=f"{number:04d}",
            )
        case _:
            raise SystemExit('usage: python -m services.<name>.migrations [revision "message"]')


def _config(folder: Path, metadata: MetaData, url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["metadata"] = metadata
    config.attributes["url"] = url
    return config


def run_environment() -> None:
    """Called by each service's `env.py`."""
    attributes = context.config.attributes
    asyncio.run(_migrate(attributes["url"], attributes["metadata"]))


async def _migrate(url: str, metadata: MetaData) -> None:
    opened = engine(url)
    try:
        async with opened.connect() as connection:
            await connection.execute(text("SET lock_timeout = '5s'"))
            await connection.execute(text("SET statement_timeout = '60s'"))
            await connection.execute(text(f"SELECT pg_advisory_lock({_ONE_MIGRATOR})"))
            await connection.commit()
            crash.point("migrations.after_lock")
            await connection.run_sync(_run(metadata))
            version = metadata.tables["alembic_version"].c.version_num
            comment = (version.comment or "").replace("'", "''")
            await connection.execute(
                text(f"COMMENT ON COLUMN alembic_version.version_num IS '{comment}'")
            )
            crash.point("migrations.before_comment")
            await connection.commit()
    finally:
        await opened.dispose()


def _run(metadata: MetaData) -> Callable[[Connection], None]:
    def run(connection: Connection) -> None:
        context.configure(
            connection=connection,
            target_metadata=metadata,
            compare_type=True,
            compare_server_default=False,
            include_object=_ours,
            render_item=_render,
            transaction_per_migration=True,
            version_table_pk=True,
        )
        with context.begin_transaction():
            context.run_migrations()

    return run


def _ours(_: Any, name: str | None, kind: str, *__: Any) -> bool:
    return not (kind == "table" and name == "alembic_version")


def _render(kind: str, item: Any, _: Any) -> str | Literal[False]:
    if kind == "type" and isinstance(item, AutoString):
        return f"sa.String(length={item.length})" if item.length else "sa.String()"
    return False
