"""`ccib retention`: what the retention rules are about to do, did, and wait for."""

import time
from datetime import date, datetime
from itertools import islice
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cli.console import REFUSED, AsJson, err, grid, out, stop, tell
from cli.platform import LOCAL_STACK, Platform, Stack

app = typer.Typer(
    help="""Accounts that are deleted because their time is over: plan, run, look back.

    Rules run by themselves once a day. A run that concerns more people than usual, or that a wrong clock
    began, is held before it does anything, until the DPO confirms that very run.

    Works for the role dpo; what acts is written down with your name. Shows opaque ids only.

    Exit codes: 0 done or shown. 1 refused, held, or not there. 2 wrong arguments. 3 no answer.
    """,
    no_args_is_help=True,
)

Rule = Annotated[str, typer.Option("--rule", help="Name of the rule, as `rules` shows it.")]
AsOf = Annotated[
    datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="A day; by default today.")
]
INCOMPLETE = "incomplete-accounts"
_LOOK_EVERY_S = 0.3
_PATIENCE_S = 600


@app.command("rules")
def list_rules(stack: Stack = LOCAL_STACK, as_json: AsJson = False) -> None:
    """Each rule, its legal source, and what it will have done in seven days."""
    found = Platform.enter(role="dpo", stack=stack).call("GET", "/api/privacy/retention/rules")
    if as_json:
        tell(found)
        return
    for rule in found:
        out.print(f"{rule['id']}: {rule['title']}", soft_wrap=True, highlight=False)
        out.print(f"  {rule['description']}", soft_wrap=True, highlight=False)
        out.print(f"  {rule['promise']}; {rule['source']}", soft_wrap=True, highlight=False)
        out.print(f"  active: {'yes' if rule['active'] else 'no'}; owner: {rule['owner']}")
        out.print(f"  today: {_due(rule['due_today'])}")
        out.print(f"  by next week: {_due(rule['due_next_week'])}")
        out.print(f"  warnings on their way: {rule['warnings_on_their_way']}")
        out.print(f"  members known until: {rule['heard_until'] or 'not told yet: no run'}")


@app.command()
def plan(
    rule: Rule = INCOMPLETE,
    as_of: AsOf = None,
    limit: Annotated[int, typer.Option(min=0, max=100_000, help="Accounts to show.")] = 20,
    stack: Stack = LOCAL_STACK,
    as_json: AsJson = False,
) -> None:
    """What a rule will have done by a day, past or future, if nobody joins. Nothing is done.

    Example: ccib retention plan --as-of 2027-06-30
    """
    platform = Platform.enter(role="dpo", stack=stack)
    found = _plan(platform, rule=rule, as_of=as_of, limit=limit)
    if as_json:
        tell(found)
    else:
        _show_plan(found)


@app.command()
def run(
    rule: Rule = INCOMPLETE,
    as_of: AsOf = None,
    really: Annotated[
        bool, typer.Option("--really", help="Do it. Without this, only show the plan.")
    ] = False,
    stack: Stack = LOCAL_STACK,
    as_json: AsJson = False,
) -> None:
    """Run a rule now, by today or an earlier day: only with --really; without it, a dry run.

    A real run never looks ahead: --as-of may not be in the future. Exit code 1 when it is held.
    """
    platform = Platform.enter(role="dpo", stack=stack)
    if not really:
        found = _plan(platform, rule=rule, as_of=as_of, limit=20)
        if as_json:
            tell({**found, "really": False})
            return
        _show_plan(found)
        out.print("nothing was done; --really does it")
        return
    body = {"rule": rule, **({"as_of": as_of.date().isoformat()} if as_of else {})}
    started = platform.call("POST", "/api/privacy/retention/runs", json=body)
    _follow(platform, started, as_json=as_json)


@app.command()
def runs(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 20,
    stack: Stack = LOCAL_STACK,
    as_json: AsJson = False,
) -> None:
    """Runs, newest first: what they did, and which are held and why."""
    platform = Platform.enter(role="dpo", stack=stack)
    every = platform.pages("/api/privacy/retention/runs", limit=min(limit, 100))
    found = list(islice(every, limit))
    if as_json:
        tell(found)
        return
    if not found:
        out.print("no runs")
        return
    table = grid("run", "rule", "day", "state", "cause", "warned", "erased", "spared")
    for one in found:
        table.add_row(
            one["id"],
            one["rule"],
            one["day"] + (" by hand" if one["by_hand"] else ""),
            one["state"],
            one["cause"] or "",
            f"{one['warned']} of {one['due_warnings']}",
            f"{one['erased']} of {one['due_erasures']}",
            str(one["spared"]),
        )
    out.print(table)


@app.command()
def confirm(
    run_id: Annotated[UUID, typer.Argument(help="Id of the held run.")],
    stack: Stack = LOCAL_STACK,
    as_json: AsJson = False,
) -> None:
    """Let a held run do what it says, and no more. Look at it and at its plan first."""
    platform = Platform.enter(role="dpo", stack=stack)
    path = f"/api/privacy/retention/runs/{run_id}/confirmation"
    _follow(platform, platform.call("POST", path), as_json=as_json)


def _plan(platform: Platform, *, rule: str, as_of: date | None, limit: int) -> dict[str, Any]:
    wanted: dict[str, Any] = {"rule": rule, "limit": max(1, min(limit, 100))}
    if as_of is not None:
        wanted["as_of"] = as_of.strftime("%Y-%m-%d")
    path = "/api/privacy/retention/plan"
    first: dict[str, Any] = platform.call("GET", path, params=wanted)
    items = list(islice(platform.pages(path, **wanted), limit))
    return {name: first[name] for name in ("rule", "as_of", "due")} | {"items": items}


def _show_plan(found: dict[str, Any]) -> None:
    out.print(f"{found['rule']} by {found['as_of']}: {_due(found['due'])}", highlight=False)
    if not found["items"]:
        return
    table = grid("account", "opened", "warnings", "next", "kept until")
    for one in found["items"]:
        table.add_row(
            one["person_id"],
            one["opened_on"],
            str(one["warnings"]),
            one["next"] + (" (on its way)" if one["on_its_way"] else ""),
            one["kept_until"],
        )
    out.print(table)


def _due(due: dict[str, Any]) -> str:
    warnings = " + ".join(map(str, due["warnings"]))
    return f"{warnings} warnings, {due['erasures']} deletions"


def _follow(platform: Platform, started: dict[str, Any], *, as_json: bool) -> None:
    """Wait for the end of a run, and say what it did. Exit code 1 when it is held."""
    current, end = started, time.monotonic() + _PATIENCE_S
    with Progress(
        TextColumn("warnings and deletions"),
        BarColumn(),
        MofNCompleteColumn(),
        console=err,
        disable=as_json,
        transient=True,
    ) as progress:
        total = started["due_warnings"] + started["due_erasures"]
        bar = progress.add_task("", total=total)
        while current["state"] == "running" and time.monotonic() < end:
            time.sleep(_LOOK_EVERY_S)
            current = platform.call("GET", f"/api/privacy/retention/runs/{started['id']}")
            progress.update(bar, completed=current["warned"] + current["erased"])
    if as_json:
        tell(current)
    if current["state"] == "held":
        raise stop(
            f"held ({current['cause']}): {current['due_warnings']} warnings and "
            f"{current['due_erasures']} deletions; `ccib retention confirm {current['id']}`",
            REFUSED,
        )
    if not as_json:
        out.print(
            f"{current['state']}: {current['warned']} warnings, {current['erased']} deletions, "
            f"{current['spared']} spared"
        )
