"""Migrations of a service: Alembic, from the declarations, in two phases, with bounded locks.

A release is rolled out while the one before it still runs. So a revision either *expands* (adds what
the new release needs and the old one does not mind) or *contracts* (takes away what nobody uses any
more: `phase = "contract"` in its file). `python -m services.<name>.migrations expand` runs before the
roll-out, `… contract` after it; without an argument, where nothing else runs, both.

Afterwards the runtime role of the service (`CCIB_RUNTIME_ROLE`) gets its rights (`chassis.rights`). A
new revision is written by `python -m services.<name>.migrations revision "what it does"` against an
up-to-date database.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from alembic import command, context
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import MetaData, text
from sqlalchemy.engine import Connection
from sqlmodel.sql.sqltypes import AutoString

from chassis import crash, rights
from chassis.db import engine
from chassis.settings import MigrationSettings

_ONE_MIGRATOR = 0x0CC1B


class Phase(StrEnum):
    """When a revision runs."""

    EXPAND = "expand"
    """Before the roll-out: the release before this one still runs, and must not mind."""
    CONTRACT = "contract"
    """After it: only this release runs."""


class PhaseError(Exception):
    """The revisions cannot run in that phase; the message says what to do first."""


def upgrade(
    folder: Path,
    metadata: MetaData,
    url: str,
    *,
    phase: Phase | None = None,
    runtime_role: str | None = None,
) -> None:
    """Bring the database at `url` to the newest revision in `folder`, or as far as the phase goes.

    Raises `PhaseError` where a phase was left out, and `rights.RightsError` about the roles.
    """
    config = _config(folder, metadata, url, runtime_role=runtime_role)
    scripts = ScriptDirectory.from_config(config)

    def steps(current: Any, _: Any) -> Any:
        return scripts._upgrade_revs(_target(scripts, current, phase), current)  # noqa: SLF001 - as Alembic's own command

    with EnvironmentContext(config, scripts, fn=steps, destination_rev="head"):
        scripts.run_env()


def _target(scripts: ScriptDirectory, current: Sequence[str], phase: Phase | None) -> str:
    """The revision to go to from the current one. Raises `PhaseError`."""
    [head] = scripts.get_heads()
    # On a new database nothing runs yet that would mind.
    if phase is None or (phase is Phase.EXPAND and not current):
        return head
    here = tuple(current)
    pending = list(scripts.iterate_revisions(head, here or "base"))[::-1]
    waiting = [one for one in pending if _phase(one) is Phase.CONTRACT]
    late = [one for one in pending if _phase(one) is Phase.EXPAND]
    if phase is Phase.CONTRACT:
        if late:
            raise PhaseError(
                f"revision {late[0].revision} expands and was not applied: run `expand`, roll this release "
                "out, then `contract`"
            )
        return head
    if waiting and late and pending.index(waiting[0]) < pending.index(late[-1]):
        raise PhaseError(
            f"revision {late[-1].revision} comes after {waiting[0].revision}, which contracts and was not "
            "applied: run `contract` of the release before this one first"
        )
    return late[-1].revision if late else (here[0] if here else "base")


def _phase(script: Script) -> Phase:
    """What a revision's file says of itself. Raises `PhaseError` when that is no phase."""
    said = getattr(script.module, "phase", Phase.EXPAND.value)
    try:
        return Phase(said)
    except ValueError:
        raise PhaseError(f"revision {script.revision} names an unknown phase: {said!r}") from None


def phases(folder: Path) -> dict[str, Phase]:
    """By revision, oldest first, the phase in which it runs. Raises `PhaseError`."""
    scripts = ScriptDirectory.from_config(_config(folder, MetaData(), ""))
    return {one.revision: _phase(one) for one in list(scripts.walk_revisions())[::-1]}


def main(folder: Path, metadata: MetaData) -> None:
    """The command line of `python -m services.<name>.migrations`."""
    told = MigrationSettings.load()
    url = told.database_url
    match sys.argv[1:]:
        case [] | ["expand"] | ["contract"] as phase:
            try:
                upgrade(
                    folder,
                    metadata,
                    url,
                    phase=Phase(phase[0]) if phase else None,
                    runtime_role=told.runtime_role,
                )
            except (PhaseError, rights.RightsError) as error:
                raise SystemExit(f"{folder.parent.name}: {error}") from None
        case ["revision", message]:
            number = len(list((folder / "versions").glob("*.py"))) + 1
            command.revision(
                _config(folder, metadata, url),
                message,
                autogenerate=True,
                rev_id=f"{number:04d}",
            )
        case _:
            raise SystemExit(
                'usage: python -m services.<name>.migrations [expand | contract | revision "message"]'
            )


def _config(
    folder: Path, metadata: MetaData, url: str, *, runtime_role: str | None = None
) -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["metadata"] = metadata
    config.attributes["url"] = url
    config.attributes["runtime_role"] = runtime_role
    return config


def run_environment() -> None:
    """Called by each service's `env.py`."""
    attributes = context.config.attributes
    asyncio.run(_migrate(attributes["url"], attributes["metadata"], attributes["runtime_role"]))


async def _migrate(url: str, metadata: MetaData, runtime_role: str | None) -> None:
    opened = engine(url)
    try:
        async with opened.connect() as connection:
            await connection.execute(text("SET lock_timeout = '5s'"))
            await connection.execute(text("SET statement_timeout = '60s'"))
            await connection.execute(text(f"SELECT pg_advisory_lock({_ONE_MIGRATOR})"))
            if runtime_role is not None:
                await rights.check(connection, runtime_role)
            await connection.commit()
            crash.point("migrations.after_lock")
            await connection.run_sync(_run(metadata))
            version = metadata.tables["alembic_version"].c.version_num
            comment = (version.comment or "").replace("'", "''")
            await connection.execute(
                text(f"COMMENT ON COLUMN alembic_version.version_num IS '{comment}'")
            )
            if runtime_role is not None:
                await rights.grant(connection, runtime_role, metadata)
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
