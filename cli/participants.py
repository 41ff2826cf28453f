"""`ccib participants`: the services, and partner systems with their place on the broker."""

from typing import Annotated, Any

import typer

from cli.console import AsJson, grid, out, tell
from cli.platform import LOCAL_STACK, Platform, Stack

app = typer.Typer(
    help="""Who must forget when told to: the platform's services and partner systems.

    A partner has a user and a queue of its own on the broker, and nothing beyond. It is told of every
    erasure and must answer each; what it does not answer stays open.

    Works for the role operator. Everything that acts is written down with your name.

    Exit codes: 0 done. 1 refused. 2 wrong arguments. 3 the platform or its broker does not answer:
    nothing was changed for good, do it again.
    """,
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="Name of the partner.")]
_PATH = "/api/privacy/participants"


@app.command("list")
def list_participants(stack: Stack = LOCAL_STACK, as_json: AsJson = False) -> None:
    """Everybody who takes part, or did, with the erasures that they have not answered."""
    found = Platform.enter(role="operator", stack=stack).call("GET", _PATH)
    if as_json:
        tell(found)
        return
    table = grid("name", "kind", "takes part", "contact", "days to answer", "not answered")
    for one in found:
        owes = str(one["open_steps"])
        if one["open_steps"] and not one["active"]:
            owes += " (for the DPO to waive)"
        if one["missed"]:
            owes += f", and {one['missed']} of those that it missed"
        table.add_row(
            one["name"],
            one["kind"],
            "yes" if one["active"] else "removed",
            one["contact"] or "",
            str(one["deadline_days"]),
            owes,
        )
    out.print(table)


@app.command()
def add(
    name: Name,
    contact: Annotated[str, typer.Option(help="Functional address of its organisation.")],
    deadline_days: Annotated[
        int, typer.Option(min=1, max=30, help="Days that it has to answer.")
    ] = 30,
    stack: Stack = LOCAL_STACK,
    as_json: AsJson = False,
) -> None:
    """Admit a partner system, or let one come back that was removed (same name, same contact).

    Its password is shown this once. Example: ccib participants add crm --contact dpo@crm.example
    """
    body = {"name": name, "contact": contact, "deadline_days": deadline_days}
    given = Platform.enter(role="operator", stack=stack).call("POST", _PATH, json=body)
    _show_credentials(given, as_json=as_json)


@app.command()
def rotate(name: Name, stack: Stack = LOCAL_STACK, as_json: AsJson = False) -> None:
    """Give a partner another password, shown this once. The old one and its connections end now."""
    given = Platform.enter(role="operator", stack=stack).call("POST", f"{_PATH}/{name}/credentials")
    _show_credentials(given, as_json=as_json)


@app.command()
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    stack: Stack = LOCAL_STACK,
    as_json: AsJson = False,
) -> None:
    """Let a partner go: its user, its queue and what waits in it are deleted. Asks first.

    Erasures that it has not answered stay open: the DPO may waive them, with a reason. Nobody else
    can take its name.
    """
    if not yes:
        typer.confirm(f"Delete the user and the queue of {name}?", abort=True, err=True)
    left = Platform.enter(role="operator", stack=stack).call("DELETE", f"{_PATH}/{name}")
    if as_json:
        tell(left)
        return
    out.print(f"{name} is removed")
    if left["open_steps"]:
        out.print(
            f"it has not answered {left['open_steps']:,} erasures: they stay open until the DPO "
            "waives them",
            soft_wrap=True,
        )


def _show_credentials(given: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        tell(given)
        return
    for name, value in given.items():
        out.print(f"{name}: {value}", markup=False, soft_wrap=True, highlight=False)
    out.print("The password is shown this once: hand it over by a safe way.")
