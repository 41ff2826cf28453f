"""`ccib restore-check`: each service's database against the ledger copy."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import asyncpg
import typer
from rich.table import Table

from cli.console import REFUSED, UNREACHABLE, AsJson, err, out, tell
from cli.ledger import Chain, Trust, counting, keys_in, walk_copy
from cli.platform import (
    LOCAL_STACK,
    SERVICES,
    Stack,
    databases,
    ledger_url,
    trust_folder,
)


@dataclass
class State:
    """What one database has applied of the ledger."""

    service: str
    applied: int = 0
    missing: list[int] = field(default_factory=list)
    other: list[int] = field(default_factory=list)
    """Applied with another entry than the copy holds, or none."""
    error: str | None = None

    @property
    def verdict(self) -> str:
        if self.error:
            return f"not checked: {self.error}"
        if self.other:
            return "another ledger, or tampered with"
        return "to be applied when it starts" if self.missing else "complete"


def restore_check(
    *,
    service: Annotated[
        list[str] | None, typer.Option("--service", help="Only this one; may be repeated.")
    ] = None,
    trust: Trust = None,
    stack: Stack = LOCAL_STACK,
    as_json: AsJson = False,
) -> None:
    """Compare each service's database with the ledger copy: has it applied every erasure?

    For after a restore, with services up or down; it changes nothing. Missing positions are no reason
    to act: a service applies them by itself before it serves anybody. Bad entries and entries of
    another ledger are: it will not start to serve. Reads the databases themselves
    (CCIB_DATABASE_URL_<SERVICE>) and the copy (CCIB_LEDGER_URL), else those of the local stack.

    Exit code 0: all complete. 1: something is missing or wrong. 2: wrong arguments, or no key to
    verify with. 3: a database or the copy cannot be read; the others were checked all the same.
    """
    if unknown := set(service or ()) - set(SERVICES):
        raise typer.BadParameter(f"no such service: {', '.join(sorted(unknown))}")
    keys = keys_in(trust or trust_folder(stack))
    urls = {name: url for name, url in databases(stack).items() if not service or name in service}
    copy_url = ledger_url(stack)
    with counting(quiet=as_json) as count:
        copy = asyncio.run(walk_copy(copy_url, keys, count))
        states = asyncio.run(_states(urls, copy.hashes))
    if as_json:
        tell(
            {
                "ledger": {
                    "entries": len(copy.hashes),
                    "bad": [{"position": f.position, "what": f.what} for f in copy.findings],
                },
                "services": [_as_json(state) for state in states],
            }
        )
    else:
        _show(copy, states)
    if any(state.error for state in states):
        raise typer.Exit(UNREACHABLE)
    if copy.findings or any(state.missing or state.other for state in states):
        raise typer.Exit(REFUSED)


async def _states(urls: Mapping[str, str], hashes: Mapping[int, str]) -> list[State]:
    return [await _state(name, url, hashes) for name, url in sorted(urls.items())]


async def _state(service: str, url: str, hashes: Mapping[int, str]) -> State:
    state = State(service)
    try:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            rows = await connection.fetch("SELECT position, entry_hash FROM applied")
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        state.error = type(error).__name__
        return state
    applied = {row["position"]: row["entry_hash"] for row in rows}
    state.applied = len(applied)
    state.missing = sorted(hashes.keys() - applied.keys())
    state.other = sorted(p for p, entry_hash in applied.items() if hashes.get(p) != entry_hash)
    return state


def _as_json(state: State) -> dict[str, Any]:
    return {
        "service": state.service,
        "verdict": state.verdict,
        "applied": state.applied,
        "missing": state.missing,
        "other": state.other,
        "error": state.error,
    }


def _show(copy: Chain, states: Iterable[State]) -> None:
    for finding in copy.findings:
        err.print(f"position {finding.position} of the copy: {finding.what}", markup=False)
    table = Table("service", "applied", "missing", "other", "state")
    for state in states:
        table.add_row(
            state.service,
            str(state.applied),
            ranges(state.missing),
            ranges(state.other),
            state.verdict,
        )
    out.print(table)
    out.print(f"{len(copy.hashes)} entries in the ledger copy")


def ranges(positions: Iterable[int]) -> str:
    """`3-5, 9` for 3, 4, 5, 9."""
    runs: list[list[int]] = []
    for position in positions:
        if runs and runs[-1][1] == position - 1:
            runs[-1][1] = position
        else:
            runs.append([position, position])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
