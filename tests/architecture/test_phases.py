"""Two releases on one database: what is added comes before the roll-out, what is taken away after it."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import Column, ForeignKey, MetaData, Table, Text, Uuid

from chassis import migrations
from chassis.catalogue import (
    Catalogue,
    CatalogueError,
    Category,
    Fate,
    Leaving,
    not_personal,
    personal,
    seal,
    subject,
)
from chassis.live_schema import SchemaMismatchError
from chassis.migrations import Phase, PhaseError
from chassis.service import Service
from chassis.tables import service_metadata
from tests.erasure.shelf import Shelf, a_command, a_shelf

SERVICES = sorted(path.parent.name for path in Path("services").glob("*/wiring.py"))
ENV = "from chassis.migrations import run_environment\n\nrun_environment()\n"
"""What each service's env.py says."""


def _person(*more: Column[str], name: str = "member") -> MetaData:
    """A release's tables: one that names people."""
    metadata = service_metadata()
    declared = subject(Fate.DETACH, "Essayer")
    Table(
        name,
        metadata,
        Column("id", Uuid, primary_key=True, **not_personal("opaque id")),
        Column("person_id", Uuid, ForeignKey("data_subject.live_id"), index=True, **declared),
        _text("words"),
        *more,
    )
    return metadata


def _text(name: str) -> Column[str]:
    return Column(name, Text, **personal(Category.CONTENT, "Texte"))


GONE = (
    Leaving(table="member", column="nickname", revision="0004"),
    Leaving(table="attic", revision="0004"),
)
BEFORE = seal(service="club", metadata=_person(_text("nickname")), leaving=GONE[1:])
AFTER = seal(service="club", metadata=_person(), leaving=GONE)

CHECK = "ck_member_person_id_detached"
REVISIONS = {
    # The release before: with a nickname, and a table beside it that is not used any more.
    "0001": ("expand", ("from tests.architecture.test_phases import BEFORE\n"
             "    BEFORE.metadata.create_all(op.get_bind())\n"
             "    op.execute('CREATE TABLE attic (id uuid)')")),
    "0002": ("expand", "op.execute('CREATE INDEX ON member (words)')"),
    "0003": ("contract", "op.execute('UPDATE member SET nickname = NULL')"),
    # The release after.
    "0004": ("contract", ("op.execute('ALTER TABLE member DROP COLUMN nickname')\n"
             "    op.execute('DROP TABLE attic')\n"
             f"    op.execute('ALTER TABLE member ADD CONSTRAINT {CHECK} CHECK"
             " (person_id IS NOT NULL OR words IS NULL)')")),
    "0005": ("expand", "op.execute('CREATE INDEX ON member (person_id)')"),
}  # fmt: skip


@pytest.fixture
async def club(servers: SimpleNamespace, tmp_path: Path) -> AsyncIterator[SimpleNamespace]:
    """A database of its own, and a folder of revisions that grows with `release`."""
    name = f"p{secrets.token_hex(5)}"
    connection = await asyncpg.connect(servers.postgres_url)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
        url = f"{servers.postgres_url.rpartition('/')[0]}/{name}"
        folder = tmp_path / "club" / "migrations"
        (folder / "versions").mkdir(parents=True)
        (folder / "env.py").write_text(ENV)

        async def release(*revisions: str, phase: Phase | None) -> str:
            before = None
            for number in revisions:
                said, does = REVISIONS[number]
                (folder / "versions" / f"{number}_x.py").write_text(
                    dedent(f"""\
                        from alembic import op

                        revision, down_revision = "{number}", {before!r}
                        branch_labels = depends_on = None
                        phase = "{said}"


                        def upgrade():
                        """)
                    + f"    {does}\n"
                )
                before = number
            await asyncio.to_thread(migrations.upgrade, folder, AFTER.metadata, url, phase=phase)
            return await now()

        async def now() -> str:
            inside = await asyncpg.connect(url)
            try:
                return str(await inside.fetchval("SELECT version_num FROM alembic_version"))
            finally:
                await inside.close()

        yield SimpleNamespace(url=url, release=release, now=now, folder=folder)
    finally:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await connection.close()


def as_release(club: SimpleNamespace, catalogue: Catalogue, folder: Path) -> object:
    return a_shelf(url=club.url, catalogue=catalogue, rules={}, folder=folder)


async def test_expanding_stops_before_what_contracts(club: SimpleNamespace) -> None:
    assert await club.release("0001", phase=Phase.EXPAND) == "0001"
    four = ("0001", "0002", "0003", "0004")
    assert await club.release(*four, phase=Phase.EXPAND) == "0002"
    assert await club.release(*four, phase=Phase.EXPAND) == "0002"
    assert await club.release(*four, phase=Phase.CONTRACT) == "0004"
    assert await club.release(*four, phase=Phase.CONTRACT) == "0004"
    assert await club.release(*four, "0005", phase=Phase.EXPAND) == "0005"


async def test_without_a_phase_everything_runs(club: SimpleNamespace) -> None:
    assert await club.release("0001", phase=None) == "0001"
    assert await club.release("0001", "0002", "0003", "0004", "0005", phase=None) == "0005"


async def test_a_new_database_is_made_whole_at_once(club: SimpleNamespace) -> None:
    assert await club.release(*REVISIONS, phase=Phase.EXPAND) == "0005"


async def test_a_phase_that_was_left_out_is_told(club: SimpleNamespace) -> None:
    await club.release("0001", phase=Phase.EXPAND)
    with pytest.raises(
        PhaseError, match="0005 comes after 0003, which contracts .* before this one"
    ):
        await club.release(*REVISIONS, phase=Phase.EXPAND)
    assert await club.now() == "0001"
    with pytest.raises(PhaseError, match="0002 expands and was not applied: run `expand`"):
        await club.release("0001", "0002", "0003", phase=Phase.CONTRACT)
    assert await club.now() == "0001"


async def test_a_phase_is_one_of_two(club: SimpleNamespace) -> None:
    await club.release("0001", phase=None)
    (club.folder / "versions" / "0002_x.py").write_text(
        'revision, down_revision = "0002", "0001"\nphase = "shrink"\ndef upgrade(): pass\n'
    )
    with pytest.raises(PhaseError, match="0002 names an unknown phase: 'shrink'"):
        await asyncio.to_thread(
            migrations.upgrade, club.folder, AFTER.metadata, club.url, phase=Phase.EXPAND
        )


async def test_a_release_starts_beside_what_is_leaving_and_forgets_people_all_the_while(
    club: SimpleNamespace, tmp_path: Path
) -> None:
    three = ("0001", "0002", "0003")
    await club.release(*three, phase=None)
    async with as_release(club, BEFORE, tmp_path) as old, as_release(club, AFTER, tmp_path) as new:
        for shelf in (old, new):
            await shelf.announce()
            filling = await shelf.fill()
            if shelf is old:
                await old.sql("UPDATE member SET nickname = NULL")
            await shelf.apply(a_command(filling.person))
        told = await _manifests(new)
        await club.release(*three, "0004", phase=Phase.CONTRACT)
        filling = await new.fill()
        # The same process, which nobody has started again: its evidence names a manifest it published.
        await new.apply(a_command(filling.person))
        assert len(await _manifests(new)) == len(told) + 1
        answers = await _answers(new)
        assert set(answers) <= set(await _manifests(new))
        with pytest.raises(SchemaMismatchError, match="column member.nickname is missing"):
            await old.apply(a_command(uuid4()))


async def _manifests(shelf: Shelf) -> list[str]:
    """The hashes of the manifests that were published, in order."""
    return await _said(shelf, "manifest_announced")


async def _answers(shelf: Shelf) -> list[str]:
    """The manifests under which was acknowledged."""
    return await _said(shelf, "erasure_acknowledged")


async def _said(shelf: Shelf, event: str) -> list[str]:
    connection = await asyncpg.connect(shelf.db.url)
    try:
        rows = await connection.fetch(
            "SELECT convert_from(body, 'UTF8')::jsonb -> 'data' ->> 'manifest_hash' FROM outbox"
            f" WHERE routing_key LIKE '%{event}%' ORDER BY id"
        )
        return [row[0] for row in rows]
    finally:
        await connection.close()


HELD = {
    "a value": (("INSERT INTO member (id, nickname) VALUES (gen_random_uuid(), NULL);"
                "ALTER TABLE member DROP CONSTRAINT ck_member_person_id_detached;"
                "UPDATE member SET nickname = 'Zaza';"
                "ALTER TABLE member ADD CONSTRAINT ck_member_person_id_detached CHECK"
                " (person_id IS NOT NULL OR (words IS NULL)); COMMENT ON TABLE member IS NULL"),
                "member.nickname leaves with revision 0004, and still holds something"),
    "a row": ("INSERT INTO attic VALUES (NULL)",
              "attic leaves with revision 0004, and still holds something"),
    "a column beside it": ("ALTER TABLE member ADD COLUMN surname text",
                           "column member.surname is not declared"),
    "a column of that name elsewhere": ("ALTER TABLE outbox ADD COLUMN nickname text",
                                        "column outbox.nickname is not declared"),
    "a trigger on what leaves": (("CREATE TRIGGER t BEFORE INSERT ON attic FOR EACH ROW EXECUTE"
                                 " FUNCTION suppress_redundant_updates_trigger()"),
                                 "trigger t on attic"),
    "a check that lets values stay": ((f"ALTER TABLE member DROP CONSTRAINT {CHECK}, ADD CONSTRAINT"
                                      f" {CHECK} CHECK (person_id IS NOT NULL OR nickname IS NULL)"),
                                      f"constraint member.{CHECK} is missing"),
}  # fmt: skip


@pytest.mark.parametrize(("spoiling", "said"), HELD.values(), ids=HELD)
async def test_what_leaves_holds_nothing_or_nothing_starts_and_nothing_is_acknowledged(
    club: SimpleNamespace, tmp_path: Path, spoiling: str, said: str
) -> None:
    await club.release("0001", phase=None)
    async with as_release(club, AFTER, tmp_path) as shelf:
        await shelf.announce()
        await shelf.sql(spoiling)
        with pytest.raises(SchemaMismatchError, match=said):
            await shelf.announce()
        with pytest.raises(SchemaMismatchError, match=said):
            await shelf.apply(a_command(uuid4()))


def test_nothing_is_declared_and_leaving() -> None:
    with pytest.raises(CatalogueError, match=r"member\.words: declared, and leaving"):
        seal(
            service="club",
            metadata=_person(),
            leaving=[Leaving(table="member", column="words", revision="0004")],
        )
    with pytest.raises(CatalogueError, match="member: declared, and leaving"):
        seal(service="club", metadata=_person(), leaving=[Leaving(table="member", revision="4")])


@pytest.mark.parametrize("service", SERVICES)
def test_what_leaves_a_service_leaves_with_a_revision_that_contracts(service: str) -> None:
    wired: Service = import_module(f"services.{service}.wiring").SERVICE
    known = migrations.phases(Path("services") / service / "migrations")
    assert known
    for one in wired.catalogue.leaving:
        assert known.get(one.revision) is Phase.CONTRACT, one
