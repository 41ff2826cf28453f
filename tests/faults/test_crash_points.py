"""A process that dies at every labelled seam, one after the other, loses nothing and repeats nothing.

What is labelled is read from the source; `tests/architecture/test_crash_points.py` sees to it that no
seam is without a label. Each stage is one service on servers of its own: for each of its labels work
is made that leads there, a process is started and killed at the label, and the next process is
started to die at the next one. The last one lives, and must come to an end of everything.
"""

import ast
import itertools
import os
import random
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from chassis import clock, live_schema
from chassis.db import Database
from services.consultations.wiring import SERVICE as CONSULTATIONS
from services.directory.wiring import SERVICE as DIRECTORY
from services.identity.wiring import SERVICE as IDENTITY
from services.notifications.wiring import SERVICE as NOTIFICATIONS
from services.privacy.wiring import SERVICE as PRIVACY
from tests import forks
from tests.bus import BusStand
from tests.faults.crash_bus import STEPS as BUS_STEPS
from tests.faults.crash_bus import die_at_each
from tests.faults.crash_privacy import of_privacy
from tests.faults.crash_services import (
    of_consultations,
    of_directory,
    of_identity,
    of_notifications,
)
from tests.faults.crash_stage import START, Stage, Unreached
from tests.faults.erasure_workers import participant
from tests.mailbox import Mailbox
from tests.privacy.conftest import OTHERS, Members
from tests.privacy.troupe import playing
from tests.seams import all_labels
from tests.stand import standing

ELSEWHERE = {
    (name, label)
    for name in ("consultations", "notifications")
    for label in (
        "erasure.after_locks",
        "erasure.after_rows",
        "service.after_erasure",
        "commands.before_ack",
        "relay.after_ack_before_mark",
    )
}
"""Seams of the chassis at which identity and the directory die already; these two in pairs only."""
SERVICES = {one.name: one for one in (IDENTITY, DIRECTORY, CONSULTATIONS, NOTIFICATIONS, PRIVACY)}


@pytest.fixture(scope="module")
async def members(
    servers: SimpleNamespace, mailbox: Mailbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Members]:
    """A real identity that lives, for those who ask it for addresses."""
    folder = tmp_path_factory.mktemp("members")
    async with standing(IDENTITY, servers=servers, folder=folder, smtp_url=mailbox.url) as stand:
        found = Members(stand=stand, post=mailbox)
        await found.up()
        yield found
        await found.down()


@asynccontextmanager
async def staged(
    name: str, *, servers: SimpleNamespace, mailbox: Mailbox, folder: Path, members: Members
) -> AsyncIterator[Stage]:
    common: dict[str, Any] = {"servers": servers, "folder": folder, "smtp_url": mailbox.url}
    if name == "identity":  # it is night
        common["rehearsal_hour"] = clock.now().astimezone(ZoneInfo("Europe/Paris")).hour
    if name != "identity":  # the others ask it for keys and addresses
        common |= {"layout": members.stand.layout, "identity_url": members.url}
    if name == "privacy":
        common |= {"extra": OTHERS, "service_urls": {"identity": members.url}}
    async with participant(SERVICES[name], **common) as place, AsyncExitStack() as stack:
        match name:
            case "identity":
                yield of_identity(place, mailbox)
            case "directory":
                yield of_directory(place)
            case "consultations":
                yield of_consultations(place)
            case "notifications":
                yield of_notifications(place, mailbox, members)
            case "privacy":
                async with place.worker():  # it takes in what the others say of themselves
                    troupe = await stack.enter_async_context(playing(place.stand, OTHERS))
                yield of_privacy(place, troupe, members)


async def reach_all(stage: Stage, labels: Sequence[str]) -> None:
    """Die at each of these labels; fails with the names of those that were not reached."""
    unreached = []
    for label in labels:
        try:
            await stage.die(label)
            print(stage.name, label, flush=True)
        except Unreached as error:
            unreached.append(str(error))
    assert not unreached, unreached


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_that_dies_at_every_label_in_turn_ends_everything_once(
    name: str, servers: SimpleNamespace, mailbox: Mailbox, tmp_path: Path, members: Members
) -> None:
    async with staged(
        name, servers=servers, mailbox=mailbox, folder=tmp_path, members=members
    ) as stage:
        labels = [label for label in stage.steps if (name, label) not in ELSEWHERE]
        labels = [label for label in labels if not ONLY or label in ONLY]
        await reach_all(stage, labels)
        seconds = await stage.converge()
        await stage.holds()
        print(f"{name}: died at {len(labels)} labels, then converged in {seconds:.1f} s")


@pytest.mark.timeout(300)
async def test_the_bus_dies_at_every_label_in_turn_and_every_event_takes_effect_once(
    bus: BusStand,
) -> None:
    seconds = await die_at_each(bus)
    print(f"bus: died at {len(BUS_STEPS)} labels, then converged in {seconds:.1f} s")


async def test_migrations_that_die_are_begun_again(
    servers: SimpleNamespace, tmp_path: Path
) -> None:
    url = await a_database(servers)
    for label in MIGRATIONS:
        process = await migrate(url, tmp_path, crash_at=label)
        assert await process.wait() == -signal.SIGKILL, label
    assert await (await migrate(url, tmp_path)).wait() == 0
    db = Database(url, service="identity")
    async with db.transaction() as session:
        live_schema.compare(IDENTITY.catalogue, await live_schema.read(session))
    await db.dispose()


async def a_database(servers: SimpleNamespace) -> str:
    name = f"m{uuid4().hex[:10]}"
    connection = await asyncpg.connect(servers.postgres_url)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return f"{servers.postgres_url.rpartition('/')[0]}/{name}"


async def migrate(url: str, folder: Path, *, crash_at: str = "") -> forks.Process:
    return await forks.start(
        "services.identity.migrations",
        env={"CCIB_DATABASE_URL": url, "CCIB_CRASH_AT": crash_at},
        log=folder / "migrations.log",
    )


MIGRATIONS = {"migrations.after_lock": START, "migrations.before_comment": START}


def test_every_label_of_the_source_has_a_scenario() -> None:
    scenarios = {
        key.value
        for path in (Path(__file__), *Path(__file__).parent.glob("crash_*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and "." in key.value
    }
    labels = set(all_labels())
    print(f"{len(labels)} labels in the source")
    assert labels - scenarios == set(), "no scenario leads there"
    assert scenarios - labels == set(), "a scenario for a label that is gone"


ONLY = [label for label in os.environ.get("CCIB_LABELS", "").split(",") if label]
"""To look at some labels again."""
SEED = int(os.environ.get("CCIB_SEED", "20261123"))
PAIRS = os.environ.get("CCIB_PAIRS", "6")
"""Of each service; `all` takes hours."""


@pytest.mark.long
@pytest.mark.timeout(24 * 3600)
@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_that_dies_at_one_label_and_then_at_another_converges_within_the_bound(
    name: str, servers: SimpleNamespace, mailbox: Mailbox, tmp_path: Path, members: Members
) -> None:
    async with staged(
        name, servers=servers, mailbox=mailbox, folder=tmp_path, members=members
    ) as stage:
        stage.deaths = 2
        every = list(itertools.product(stage.steps, repeat=2))
        chance = random.Random(f"{SEED} {name}")
        pairs = every if PAIRS == "all" else chance.sample(every, min(int(PAIRS), len(every)))
        slowest = 0.0
        for first, second in pairs:
            try:
                await stage.die(first)
                await stage.die(second)
                slowest = max(slowest, await stage.converge())
                await stage.holds()
            except BaseException as error:
                error.add_note(f"{first}, then {second}; replay with CCIB_SEED={SEED}")
                raise
        print(
            f"{name}: {len(pairs)} of {len(every)} pairs (CCIB_SEED={SEED}),"
            f" converged in {slowest:.1f} s at most"
        )
