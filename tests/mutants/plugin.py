"""Lets any test run against a mutant: `CCIB_MUTANT='{"kind": …}' pytest -p tests.mutants.plugin …`.

It is loaded before the tests and the services, so that the code is wrong as if it had been written so.
Mutants of the schema and triggers are made by the migrations, as if one of them had done it.
"""

import asyncio
import json
import os
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg

from chassis import catalogue, live_schema, migrations
from chassis.db import Database
from contracts.registry import all_events
from tests.mutants import declarations, eraser, refusals, returns, schema
from tests.mutants.kinds import Mutant

ENVIRONMENT = "CCIB_MUTANT"

_HELD: list[Any] = []
"""What was entered, for as long as the process lives."""


def install(mutant: Mutant) -> None:
    """Make this process wrong."""
    kind = mutant.kind
    if kind == "refusal taken out":
        module = import_module(mutant.service)
        for function, number, code in refusals.refusals_of(module):
            if mutant.target == f"{function}: {code}":
                _enter(refusals.removed(module, function, number))
    elif kind in (returns.SKIPPED, returns.HIDDEN, returns.TOKEN):
        events = {event.__name__: event for event in all_events().values()}
        _enter(returns.made(mutant, events.get(mutant.target)))
    elif kind in (returns.NAMED, returns.REMEMBERED):
        weaker = "check dropped" if kind == returns.REMEMBERED else "foreign key dropped"
        where = mutant.target.partition(" ")[0]
        _migrate(mutant.service, lambda desk: schema.sql(Mutant(weaker, "", where), desk))
    elif kind in eraser.KINDS:
        _enter(eraser.made(mutant))
        _migrate(mutant.service, lambda desk: eraser.spoiling(mutant, desk.catalogue))
    elif kind in schema.KINDS and kind not in declarations.KINDS:
        _migrate(mutant.service, lambda desk: schema.sql(mutant, desk))
    else:
        _declare(mutant)


def _enter(context: Any) -> None:
    context.__enter__()
    _HELD.append(context)  # a collected generator would undo it


def _declare(mutant: Mutant) -> None:
    seal = catalogue.seal

    def wrongly(*, service: str, metadata: Any) -> Any:
        if service == mutant.service:
            _enter(declarations.change(mutant)(metadata))
        return seal(service=service, metadata=metadata)

    catalogue.seal = wrongly


def _migrate(service: str, statements: Any) -> None:
    upgrade = migrations.upgrade

    def wrongly(folder: Path, metadata: Any, url: str) -> None:
        upgrade(folder, metadata, url)
        if folder.parent.name == service:
            asyncio.run(_spoil(url, service, statements))

    migrations.upgrade = wrongly


async def _spoil(url: str, service: str, statements: Any) -> None:
    db = Database(url, service=service)
    async with db.transaction() as session:
        facts = await live_schema.read(session)
    await db.dispose()
    wired = import_module(f"services.{service}.wiring").SERVICE
    wrong = statements(SimpleNamespace(catalogue=wired.catalogue, facts=facts))
    if not wrong:
        return
    connection = await asyncpg.connect(url)
    await connection.execute(wrong)
    await connection.close()


if ENVIRONMENT in os.environ:
    assert not [name for name in sys.modules if name.startswith("services.")], "loaded too late"
    install(Mutant(**json.loads(os.environ[ENVIRONMENT])))
