"""`ccib verify-ledger`: the chain of broadcasts, in privacy's database and in its copy."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import typer
from joserfc.jwk import ECKey
from rich.progress import Progress

from chassis.evidence import digest
from chassis.ledger import (
    NO_PREVIOUS,
    LedgerCopy,
    LedgerEntryError,
    LedgerUnreachableError,
    trusted_keys,
    unseal,
)
from cli.console import REFUSED, UNREACHABLE, UNREADABLE, AsJson, err, out, stop, tell
from cli.platform import LOCAL_STACK, Stack, databases, ledger_url, trust_folder

DATABASE, COPY = "database", "copy"

Trust = Annotated[
    Path | None,
    typer.Option(
        "--trust",
        help="Folder of public keys, obtained elsewhere than from the copy: evidence/privacy.pem, "
        "and in ledger/ the keys that privacy had before. By default the local stack's.",
    ),
]


@dataclass(frozen=True)
class Finding:
    """What is wrong, at which position and where."""

    position: int
    where: str
    what: str


@dataclass
class Chain:
    """One walk along the positions, in order."""

    where: str
    hashes: dict[int, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    _previous: str | None = NO_PREVIOUS
    _next: int = 1

    def step(self, position: int, entry: Any, entry_hash: str | None) -> None:
        """Judge the entry at this position; None for one that could not be read."""
        if position > self._next:
            last = f" up to {position - 1}" if position - 1 > self._next else ""
            self.found(self._next, f"missing{last}, later ones are there: deleted")
            self._previous = None
        self._next = position + 1
        if not isinstance(entry, dict) or entry_hash is None:
            self.found(position, "cannot be read")
            self._previous = None
            return
        self.hashes[position] = entry_hash
        # Proofs whose time is over name nobody any more; their hash is still held against the copy.
        emptied = self.where == DATABASE and "subjects" not in entry
        if not emptied and digest(entry) != entry_hash:
            self.found(position, "its content is not what its hash says: edited")
        if entry.get("position") != position:
            self.found(position, f"it was written for position {entry.get('position')}: reordered")
        if self._previous is not None and entry.get("previous_hash") != self._previous:
            self.found(
                position,
                "it does not follow the one before: one of them was changed, inserted or moved",
            )
        self._previous = entry_hash

    def found(self, position: int, what: str) -> None:
        """Note what is wrong."""
        self.findings.append(Finding(position, self.where, what))


def verify_ledger(
    *,
    copy_only: Annotated[
        bool, typer.Option("--copy-only", help="Do not open privacy's database.")
    ] = False,
    trust: Trust = None,
    stack: Stack = LOCAL_STACK,
    as_json: AsJson = False,
) -> None:
    """Verify the ledger of erasures: privacy's rows, the copy outside the databases, and both together.

    Finds what was edited, deleted, inserted or put in another order, a broken chain, an entry that
    privacy has not signed, and every difference between both. Works with all services down: it reads
    the database itself (CCIB_DATABASE_URL_PRIVACY) and the copy (CCIB_LEDGER_URL), else those of the
    local stack.

    Exit code 0: everything is as privacy wrote it. 1: not, and where. 2: no key to verify with.
    3: the database or the copy cannot be read.
    """
    keys = keys_in(trust or trust_folder(stack))
    copy_url = ledger_url(stack)
    database = None if copy_only else databases(stack).get("privacy")
    if database is None and not copy_only:
        raise stop("privacy's database is not named: set CCIB_DATABASE_URL_PRIVACY", UNREADABLE)
    with counting(quiet=as_json) as count:
        copy, rows, unsent = asyncio.run(_walk(copy_url, keys, database, count))
    findings = [*copy.findings]
    if rows is not None:
        findings += [*rows.findings, *_differences(rows, copy, unsent)]
    findings.sort(key=lambda finding: (finding.position, finding.where))
    if as_json:
        tell(
            {
                "valid": not findings,
                "copy": len(copy.hashes),
                "database": None if rows is None else len(rows.hashes),
                "findings": [asdict(finding) for finding in findings],
            }
        )
    else:
        for finding in findings:
            out.print(f"position {finding.position}, {finding.where}: {finding.what}", markup=False)
        counted = f"{len(copy.hashes)} entries in the copy"
        if rows is not None:
            counted += f", {len(rows.hashes)} in the database"
        out.print(f"{'NOT VALID' if findings else 'VALID'}: {counted}")
    if findings:
        raise typer.Exit(REFUSED)


def keys_in(trust: Path) -> list[ECKey]:
    """The keys to verify with. Ends the command when there is none."""
    try:
        return trusted_keys(trust)
    except (OSError, ValueError) as error:
        where = trust / "evidence" / "privacy.pem"
        raise stop(f"{where}: no key to verify with ({type(error).__name__})", UNREADABLE) from None


@contextmanager
def counting(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on standard error: call it with what is counted, how many, of how many."""
    with Progress(console=err, disable=quiet, transient=True) as progress:
        tasks: dict[str, Any] = {}

        def count(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done)

        yield count


async def walk_copy(url: str, keys: list[ECKey], count: Callable[[str, int, int], None]) -> Chain:
    """Every entry of the copy, with its signature. Ends the command when it cannot be read."""
    chain = Chain(COPY)
    try:
        copy = LedgerCopy(url)
        positions = await copy.after(0)
        for done, position in enumerate(positions, start=1):
            raw = await copy.read(position)
            count("ledger copy", done, len(positions))
            try:
                content = json.loads(raw or b"")
                entry, entry_hash = content["entry"], str(content["entry_hash"])
            except (ValueError, TypeError, KeyError):
                chain.step(position, None, None)
                continue
            chain.step(position, entry, entry_hash)
            try:
                unseal(raw or b"", position=position, keys=keys)
            except LedgerEntryError as error:
                if error.what.startswith("privacy has not"):
                    chain.found(position, "privacy has not signed it")
    except (LedgerUnreachableError, OSError) as error:
        raise stop(f"the ledger copy {url} cannot be read: {error}", UNREACHABLE) from None
    return chain


async def _walk(
    url: str, keys: list[ECKey], database: str | None, count: Callable[[str, int, int], None]
) -> tuple[Chain, Chain | None, set[int]]:
    copy = await walk_copy(url, keys, count)
    if database is None:
        return copy, None, set()
    rows, unsent = Chain(DATABASE), set()
    try:
        async for position, entry, entry_hash, sent in _rows(database, count):
            rows.step(position, entry, entry_hash)
            if not sent:
                unsent.add(position)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise stop(
            f"privacy's database cannot be read ({type(error).__name__})", UNREACHABLE
        ) from None
    return copy, rows, unsent


async def _rows(
    database: str, count: Callable[[str, int, int], None]
) -> AsyncIterator[tuple[int, Any, str, bool]]:
    connection = await asyncpg.connect(database, timeout=10)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            total = await connection.fetchval("SELECT count(*) FROM broadcast")
            done = 0
            async for row in connection.cursor(
                "SELECT position, entry, entry_hash, sent_at IS NOT NULL AS sent"
                " FROM broadcast ORDER BY position"
            ):
                done += 1
                count("privacy's rows", done, total)
                yield row["position"], json.loads(row["entry"]), row["entry_hash"], row["sent"]
    finally:
        await connection.close()


def _differences(rows: Chain, copy: Chain, unsent: set[int]) -> Iterator[Finding]:
    both = f"{DATABASE} and {COPY}"
    for position in sorted(rows.hashes.keys() | copy.hashes.keys()):
        row, entry = rows.hashes.get(position), copy.hashes.get(position)
        if row is None:
            yield Finding(
                position, DATABASE, "only the copy has it: privacy takes it in when it starts"
            )
        elif entry is None:
            if position not in unsent:  # reserved: the copy comes next
                yield Finding(position, COPY, "it was broadcast, and the copy lacks it")
        elif row != entry:
            yield Finding(position, both, "two different entries")
