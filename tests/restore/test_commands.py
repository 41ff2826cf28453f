"""`ccib restore-check` and `ccib verify-ledger`: what was done to the ledger is found, and where."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from chassis.evidence import canonical, digest, load_key, sign
from cli.main import app
from tests.privacy.troupe import Troupe
from tests.restore import world
from tests.restore.conftest import asked, completed
from tests.stand import Stand

Entry = dict[str, Any]


class Command:
    """`ccib` as a machine calls it."""

    def __init__(self, stand: Stand, copy: Path, database: str) -> None:
        self.trust = stand.layout.trust
        self.environment = {
            "CCIB_LEDGER_URL": copy.as_uri(),
            "CCIB_DATABASE_URL_PRIVACY": database,
            "CCIB_DATABASE_URL_IDENTITY": "",
        }

    async def __call__(self, *words: str, **environment: str) -> tuple[int, Any]:
        answer = await asyncio.to_thread(
            CliRunner().invoke,
            app,
            [*words, "--json", "--trust", str(self.trust)],
            env={**self.environment, **environment},
        )
        # The stand lives in this process, too: what it logs is one line each.
        said = [line for line in answer.stdout.splitlines() if not line.startswith('{"')]
        return answer.exit_code, json.loads("\n".join(said)) if said else answer.stderr


def administered(stand: Stand, ccib: "Command") -> str:
    """Privacy's database for the server's administrator: the service itself may not tamper with it."""
    name = ccib.environment["CCIB_DATABASE_URL_PRIVACY"].rpartition("/")[2]
    return f"{stand.admin_url.rpartition('/')[0]}/{name}"


@pytest.fixture(scope="module")
async def three(privacy: Stand, troupe: Troupe) -> Stand:
    """A privacy with three entries at least."""
    for _ in range(3):
        await completed(privacy, await asked(privacy))
    return privacy


@pytest.fixture
async def ccib(three: Stand, tmp_path: Path) -> Command:
    """The command on a copy of the copy and of the database, to be spoilt."""
    for path in world.copies(three).glob("0*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return Command(three, tmp_path, world.url_of(three, await world.back_up(three)))


def the_copy(ccib: Command, position: int) -> Path:
    return (
        Path(ccib.environment["CCIB_LEDGER_URL"].removeprefix("file://")) / f"{position:012d}.json"
    )


async def last(three: Stand) -> int:
    [row] = await three.rows("SELECT max(position) AS position FROM broadcast")
    return int(row["position"])


async def test_an_untouched_ledger_is_valid_and_complete(three: Stand, ccib: Command) -> None:
    code, said = await ccib("verify-ledger")
    assert (code, said["valid"], said["findings"]) == (0, True, [])
    assert said["copy"] == said["database"] == await last(three)
    assert (await ccib("verify-ledger", "--copy-only"))[0] == 0
    code, said = await ccib("restore-check")
    assert code == 0
    assert [(one["service"], one["verdict"]) for one in said["services"]] == [
        ("privacy", "complete")
    ]


def edited(entry: Entry) -> Entry:
    entry["entry"]["subjects"] = entry["entry"]["subjects"] * 2
    return entry


def hashed_again(entry: Entry) -> Entry:
    content = edited(entry)
    return {**content, "entry_hash": digest(content["entry"])}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (edited, "edited"),
        (hashed_again, "privacy has not signed it"),
        (lambda entry: {**entry, "signature": "a..b"}, "privacy has not signed it"),
        (lambda entry: {}, "cannot be read"),
    ],
    ids=["edited", "edited and hashed again", "another signature", "emptied"],
)
async def test_an_edited_entry_of_the_copy_is_found(
    three: Stand, ccib: Command, change: Callable[[Entry], Entry], words: str
) -> None:
    position = await last(three) - 1
    path = the_copy(ccib, position)
    path.write_bytes(canonical(change(json.loads(path.read_bytes()))))
    for command in (["verify-ledger"], ["verify-ledger", "--copy-only"]):
        code, said = await ccib(*command)
        assert code == 1
        assert any(
            one["position"] == position and one["where"] == "copy" and words in one["what"]
            for one in said["findings"]
        ), said
    code, said = await ccib("restore-check")
    assert code == 1
    assert position in [one["position"] for one in said["ledger"]["bad"]]


async def test_deleted_swapped_and_inserted_entries_of_the_copy_are_found(
    three: Stand, ccib: Command
) -> None:
    end = await last(three)
    first, second = the_copy(ccib, end - 1), the_copy(ccib, end)
    kept = first.read_bytes(), second.read_bytes()
    first.unlink()
    assert (end - 1, "copy") in await found(ccib)
    first.write_bytes(kept[1])
    second.write_bytes(kept[0])
    assert {(end - 1, "copy"), (end, "copy")} <= await found(ccib)
    first.write_bytes(kept[0])
    second.unlink()
    assert await found(ccib) == {(end, "copy")}
    second.write_bytes(kept[1])
    the_copy(ccib, end + 1).write_bytes(kept[1])
    assert {(end + 1, "copy"), (end + 1, "database")} <= await found(ccib)


async def found(ccib: Command) -> set[tuple[int, str]]:
    code, said = await ccib("verify-ledger")
    assert code == 1
    return {(one["position"], one["where"]) for one in said["findings"]}


@pytest.mark.parametrize(
    ("statement", "offset", "where"),
    [
        (
            """UPDATE broadcast SET entry = jsonb_set(entry, '{reason}', '"canary"')
            WHERE position = $1""",
            -1,
            "database",
        ),
        (
            "UPDATE broadcast SET entry_hash = repeat('0', 64) WHERE position = $1",
            -1,
            "database and copy",
        ),
        ("DELETE FROM broadcast WHERE position = $1", -1, "database"),
        (
            """INSERT INTO broadcast (position, broadcast_id, entry, entry_hash, reserved_at, sent_at,
            chases) SELECT position + 1, gen_random_uuid(), entry, repeat('1', 64), reserved_at,
            sent_at, chases FROM broadcast WHERE position = $1""",
            0,
            "copy",
        ),
    ],
    ids=["edited", "another hash", "deleted", "inserted"],
)
async def test_a_row_that_was_tampered_with_is_found(
    three: Stand, ccib: Command, statement: str, offset: int, where: str
) -> None:
    position = await last(three) + offset
    connection = await asyncpg.connect(administered(three, ccib))
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(statement, position)
    finally:
        await connection.close()
    expected = position + 1 if "INSERT" in statement else position
    assert (expected, where) in await found(ccib)


async def test_a_proof_whose_time_is_over_leaves_a_ledger_that_is_valid(
    three: Stand, ccib: Command
) -> None:
    position = await last(three) - 1
    connection = await asyncpg.connect(administered(three, ccib))
    whole = await connection.fetchval("SELECT entry FROM broadcast WHERE position = $1", position)
    try:
        await connection.execute(
            "UPDATE broadcast SET entry = entry - 'subjects' WHERE position = $1", position
        )
        assert (await ccib("verify-ledger"))[0] == 0
        # An edit cannot hide behind it: the hash is the copy's.
        await connection.execute(
            "UPDATE broadcast SET entry_hash = repeat('0', 64) WHERE position = $1", position
        )
        assert (await ccib("verify-ledger"))[0] == 1
    finally:
        entry_hash = digest(json.loads(whole))
        await connection.execute(
            "UPDATE broadcast SET entry = $2, entry_hash = $3 WHERE position = $1",
            *(position, whole, entry_hash),
        )
        await connection.close()


async def test_what_a_restored_database_lacks_is_told(three: Stand, ccib: Command) -> None:
    end = await last(three)
    connection = await asyncpg.connect(administered(three, ccib))
    try:
        await connection.execute("DELETE FROM applied WHERE position >= $1", end - 1)
    finally:
        await connection.close()
    code, said = await ccib("restore-check")
    [state] = said["services"]
    assert (code, state["missing"], state["verdict"]) == (
        1,
        [end - 1, end],
        "to be applied when it starts",
    )


async def test_what_cannot_be_read_is_not_taken_for_complete(
    three: Stand, ccib: Command, tmp_path: Path
) -> None:
    nowhere = "postgresql://nobody:x@127.0.0.1:9/nothing"
    code, said = await ccib("restore-check", CCIB_DATABASE_URL_IDENTITY=nowhere)
    assert code == 3
    assert {one["service"]: bool(one["error"]) for one in said["services"]} == {
        "identity": True,
        "privacy": False,
    }
    assert (await ccib("verify-ledger", CCIB_DATABASE_URL_PRIVACY=nowhere))[0] == 3
    away = (tmp_path / "away").as_uri()
    for command in ("verify-ledger", "restore-check"):
        assert (await ccib(command, CCIB_LEDGER_URL=away))[0] == 3
    ccib.trust = tmp_path
    assert (await ccib("verify-ledger"))[0] == 2


async def test_a_key_of_before_is_believed_where_it_is_trusted(
    three: Stand, ccib: Command, tmp_path: Path
) -> None:
    former = three.layout.secrets / "directory" / "evidence.pem"
    path = the_copy(ccib, 1)
    content = {k: v for k, v in json.loads(path.read_bytes()).items() if k != "signature"}
    path.write_bytes(canonical({**content, "signature": sign(content, load_key(former))}))
    assert await found(ccib) == {(1, "copy")}
    for name, of in (("evidence/privacy", "privacy"), ("ledger/2025", "directory")):
        target = tmp_path / "trust" / f"{name}.pem"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((three.layout.trust / "evidence" / f"{of}.pem").read_bytes())
    ccib.trust = tmp_path / "trust"
    assert (await ccib("verify-ledger"))[0] == 0
