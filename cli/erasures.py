"""`ccib erasures`: where erasures stand, for the DPO."""

from itertools import islice
from typing import Annotated
from uuid import UUID

import typer

from cli.console import AsJson, grid, out, tell
from cli.platform import LOCAL_STACK, Platform, Stack

app = typer.Typer(
    help="""Where erasures stand: who has proven their part, and who has not.

    Works for the role dpo. Shows opaque ids only.

    Exit codes: 0 shown. 1 refused, or no such erasure. 2 wrong arguments. 3 no answer.
    """,
    no_args_is_help=True,
)


@app.command("list")
def list_erasures(
    pending: Annotated[
        bool, typer.Option("--open", help="Only those that are not completed.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 50,
    stack: Stack = LOCAL_STACK,
    as_json: AsJson = False,
) -> None:
    """Erasures, newest first, with those who have not proven their part."""
    platform = Platform.enter(role="dpo", stack=stack)
    every = platform.pages("/api/privacy/erasures", limit=min(limit, 100))
    found = list(islice((e for e in every if not pending or e["completed_at"] is None), limit))
    if as_json:
        tell(found)
        return
    if not found:
        out.print("no erasures")
        return
    table = grid("erasure", "state", "reason", "requested", "completed", "waits for")
    for one in found:
        table.add_row(
            one["erasure_id"],
            one["state"],
            one["reason"],
            one["requested_at"],
            one["completed_at"] or "",
            ", ".join(one["open_steps"]),
        )
    out.print(table)


@app.command()
def show(
    erasure_id: Annotated[UUID, typer.Argument(help="Id of the erasure.")],
    stack: Stack = LOCAL_STACK,
    as_json: AsJson = False,
) -> None:
    """One erasure, step by step."""
    platform = Platform.enter(role="dpo", stack=stack)
    found = platform.call("GET", f"/api/privacy/erasures/{erasure_id}")
    if as_json:
        tell(found)
        return
    for name in ("erasure_id", "state", "requested_at", "due_by", "completed_at", "certificate"):
        out.print(f"{name}: {found[name] or '-'}", soft_wrap=True, highlight=False)
    table = grid("participant", "outcome", "proven", "deleted", "detached", "kept")
    for step in found["steps"]:
        counts = step["counts"] or {}
        table.add_row(
            step["participant"],
            step["outcome"] or "open",
            step["acknowledged_at"] or "",
            *(str(counts.get(name, "")) for name in ("deleted", "detached", "kept")),
        )
    out.print(table)
