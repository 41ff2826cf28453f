"""`ccib dead-letters`: events that took no effect, of all services at once."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import typer

from cli.console import REFUSED, UNREADABLE, AsJson, err, grid, out, stop, tell
from cli.platform import LOCAL_STACK, SERVICES, Platform, RefusedError, Stack

app = typer.Typer(
    help="""Events that took no effect: see why, try again, or let go.

    A dead letter failed at every retry; a parked one is of a type that this release does not know.
    Replaying is safe: an event takes effect once, and none about an erased person does. Everything
    that acts is written down with your name (`GET /api/SERVICE/operator-actions`).

    Works for the role operator; asks all services unless --service names one.

    Exit codes: 0 done. 1 refused, or nothing of that selection is there. 2 wrong arguments.
    3 a service does not answer; the others have been asked all the same.
    """,
    no_args_is_help=True,
)

Service = Annotated[
    Literal["identity", "directory", "consultations", "privacy", "notifications"] | None,
    typer.Option("--service", help="One service instead of all."),
]
Type = Annotated[str | None, typer.Option("--type", help="Event type, as `list` shows it.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Reason, as `list` shows it.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids of events.", metavar="[ID]...")]
NONE = "-"
"""How a cause without type or reason is shown, and given back."""


@app.command("list")
def list_letters(
    *,
    service: Service = None,
    each: Annotated[bool, typer.Option("--each", help="Every letter, not only causes.")] = False,
    type: Type = None,
    reason: Reason = None,
    stack: Stack = LOCAL_STACK,
    as_json: AsJson = False,
) -> None:
    """What is there, by cause: the largest group first; --each for single letters.

    Example: ccib dead-letters list --service directory --each --reason LookupError
    """
    platform = Platform.enter(role="operator", stack=stack)
    wanted = {name: given for name, given in (("type", type), ("reason", reason)) if given}
    if each:
        found = _of_all(
            service, lambda name: list(platform.every(f"{_at(name)}", **wanted, limit=100))
        )
    else:
        found = _of_all(service, lambda name: platform.ask("GET", f"{_at(name)}/causes"))
    rows = [
        {"service": name, **row}
        for name, rows in found
        for row in rows
        if all(row[field] == value for field, value in wanted.items())
    ]
    if as_json:
        tell(rows)
    elif not rows:
        out.print("no dead letters")
    elif each:
        _show(rows, "service", "event_id", "state", "type", "reason", "attempts", "received_at")
    else:
        _show(rows, "service", "count", "state", "type", "reason", "oldest", "newest")
    found.end()


@app.command()
def show(
    event_id: Annotated[str, typer.Argument(help="Id of the event.")],
    service: Service = None,
    stack: Stack = LOCAL_STACK,
    as_json: AsJson = False,
) -> None:
    """One letter with its envelope and its data: opaque ids and closed words.

    Of what is no event of ours only size and SHA-256 are shown: a stranger may have written anything.
    """
    platform = Platform.enter(role="operator", stack=stack)
    found = _of_all(service, lambda name: _if_there(platform, f"{_at(name)}/{event_id}"))
    rows = [{"service": name, **row} for name, row in found if row]
    if as_json:
        tell(rows)
    for row in rows if not as_json else ():
        for name, value in row.items():
            out.print(f"{name}: {value}", markup=False, soft_wrap=True, highlight=False)
    found.end(nothing=None if rows else f"no dead letter {event_id}")


@app.command()
def replay(
    *,
    ids: Ids = None,
    type: Type = None,
    reason: Reason = None,
    service: Service = None,
    stack: Stack = LOCAL_STACK,
    as_json: AsJson = False,
) -> None:
    """Try letters again: by id, or all of one cause (--type and --reason together, - for none).

    At most 10,000 per service and call; the answer says how many remain.

    Example: ccib dead-letters replay --type fr.ccibusiness.directory.company_listed.v1
    --reason LookupError
    """
    _act("replay", "replayed", _selection(ids, type, reason), service, stack, as_json=as_json)


@app.command()
def drop(
    *,
    ids: Ids = None,
    type: Type = None,
    reason: Reason = None,
    service: Service = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    stack: Stack = LOCAL_STACK,
    as_json: AsJson = False,
) -> None:
    """Let letters go without effect, for good: by id, or all of one cause. Asks first.

    Their ids stay remembered: the same event does not come back later.
    """
    selection = _selection(ids, type, reason)
    if not yes:
        typer.confirm("Their effect is lost for good. Drop them?", abort=True, err=True)
    _act("drop", "dropped", selection, service, stack, as_json=as_json)


@app.command()
def collect(service: Service = None, stack: Stack = LOCAL_STACK, as_json: AsJson = False) -> None:
    """Take in what the broker itself gave up on, so that `list` shows it."""
    _act("collect", "collected", None, service, stack, as_json=as_json)


@app.command()
def parked(service: Service = None, stack: Stack = LOCAL_STACK, as_json: AsJson = False) -> None:
    """Events that a service wants to send and the broker cannot route.

    They hold back later events about the same person or thing. Mend the topology, then `release`.
    """
    platform = Platform.enter(role="operator", stack=stack)
    found = _of_all(
        service, lambda name: list(platform.every(f"/api/{name}/parked-events", limit=100))
    )
    rows = [{"service": name, **row} for name, page in found for row in page]
    if as_json:
        tell(rows)
    elif not rows:
        out.print("no parked events")
    else:
        _show(rows, "service", "event_id", "exchange", "routing_key", "last_error", "created_at")
    found.end()


@app.command()
def release(service: Service = None, stack: Stack = LOCAL_STACK, as_json: AsJson = False) -> None:
    """Send parked events again, once the broker can route them."""
    platform = Platform.enter(role="operator", stack=stack)
    found = _of_all(
        service, lambda name: platform.ask("POST", f"/api/{name}/parked-events/release")
    )
    _tell_counts(found, "released", as_json=as_json)


class _Answers:
    """What the services answered; those that did not are told at the end, with the exit code."""

    def __init__(self, service: str | None, ask: Callable[[str], Any]) -> None:
        self._names = [service] if service else SERVICES
        self._ask = ask
        self._refused: list[tuple[str, RefusedError]] = []

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for name in self._names:
            with err.status(f"asking {name}"):
                try:
                    answer = self._ask(name)
                except RefusedError as refused:
                    self._refused.append((name, refused))
                    continue
            yield name, answer

    def end(self, *, nothing: str | None = None) -> None:
        """End the command as its exit codes say."""
        for name, refused in self._refused:
            err.print(f"{name}: {refused.sentence}", markup=False)
        if self._refused:
            raise typer.Exit(max(refused.code for _, refused in self._refused))
        if nothing:
            raise stop(nothing, REFUSED)


def _of_all(service: str | None, ask: Callable[[str], Any]) -> _Answers:
    return _Answers(service, ask)


def _at(service: str) -> str:
    return f"/api/{service}/dead-letters"


def _if_there(platform: Platform, path: str) -> Any:
    try:
        return platform.ask("GET", path)
    except RefusedError as refused:
        if refused.status == 404:
            return None
        raise


def _selection(ids: list[str] | None, type: str | None, reason: str | None) -> dict[str, Any]:
    if ids and not (type or reason):
        return {"ids": ids}
    if type and reason and not ids:
        return {
            "type": None if type == NONE else type,
            "reason": None if reason == NONE else reason,
        }
    raise stop("give ids, or --type and --reason together", UNREADABLE)


def _act(
    verb: str,
    done: str,
    selection: dict[str, Any] | None,
    service: str | None,
    stack: Stack,
    *,
    as_json: bool,
) -> None:
    platform = Platform.enter(role="operator", stack=stack)
    found = _of_all(
        service, lambda name: platform.ask("POST", f"{_at(name)}/{verb}", json=selection)
    )
    _tell_counts(found, done, as_json=as_json, some=selection is not None)


def _tell_counts(found: _Answers, done: str, *, as_json: bool, some: bool = False) -> None:
    """`some`: a selection was given, and nothing at all is an answer of no."""
    rows = [{"service": name, **row} for name, row in found]
    if as_json:
        tell(rows)
    total = sum(row["count"] for row in rows)
    for row in rows if not as_json else ():
        if row["count"] or row["remaining"]:
            left = f", {row['remaining']:,} remain" if row["remaining"] else ""
            out.print(f"{row['service']}: {row['count']:,} {done}{left}")
    if not total and not some and not as_json:
        out.print(f"nothing {done}: there was nothing")
    found.end(
        nothing=f"nothing {done}: nothing of that selection is there, or may be"
        if some and not total
        else None
    )


def _show(rows: list[dict[str, Any]], *columns: str) -> None:
    table = grid(*columns)
    for row in rows:
        table.add_row(*(NONE if row[name] is None else str(row[name]) for name in columns))
    out.print(table)
