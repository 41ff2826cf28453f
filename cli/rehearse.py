"""`ccib rehearse`: erasure tried in every service with somebody who does not exist."""

from typing import Any

import typer

from cli.console import REFUSED, AsJson, err, grid, out, tell
from cli.platform import LOCAL_STACK, SERVICES, Platform, RefusedError, Stack


def rehearse(stack: Stack = LOCAL_STACK, as_json: AsJson = False) -> None:
    """Try an erasure in every service, with somebody who does not exist.

    Each service writes that person into every table of its running database, with a random word in
    every text, forgets them by the code that forgets people, searches every column of every table
    for the word, and undoes it all: nobody ever sees them. It finds what a declaration forgot.

    Works for the role operator. Reads every table twice: not in the busiest hour.

    Exit code 0: forgotten everywhere. 1: something was left, or in the way. 3: a service does not
    answer; the others have tried all the same.
    """
    platform = Platform.enter(role="operator", stack=stack)
    found: list[dict[str, Any]] = []
    refused: list[tuple[str, RefusedError]] = []
    for name in SERVICES:
        with err.status(f"{name} rehearses"):
            try:
                told = platform.ask("POST", f"/api/{name}/rehearsals")
            except RefusedError as error:
                refused.append((name, error))
                continue
        found.append({"service": name, **told})
    if as_json:
        tell(found)
    else:
        _show(found)
    for name, refusal in refused:
        err.print(f"{name}: {refusal.sentence}", markup=False)
    if refused:
        raise typer.Exit(max(refusal.code for _, refusal in refused))
    if not all(one["holds"] for one in found):
        raise typer.Exit(REFUSED)


def _show(found: list[dict[str, Any]]) -> None:
    table = grid("service", "rows", "tables", "columns", "left")
    for one in found:
        table.add_row(
            one["service"],
            str(sum(one["rows"].values())),
            str(len(one["rows"])),
            str(one["columns"]),
            ", ".join(one["left"]) or "nothing",
        )
    out.print(table)
    for one in found:
        for place, constraint in one["impossible"].items():
            out.print(f"{one['service']}: no place in {place} ({constraint})", markup=False)
        if one["unreadable"]:
            out.print(
                f"{one['service']}: may not read {', '.join(one['unreadable'])}", markup=False
            )
        if one["trouble"]:
            out.print(f"{one['service']}: {one['trouble']}", markup=False)
