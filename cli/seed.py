"""`ccib seed`: the demo, written into the running local stack."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cli.console import REFUSED, AsJson, out, stop, tell


def seed(
    stack: Annotated[
        Path, typer.Option(help="The description that the running stack keeps of itself.")
    ] = Path(".local/stack.json"),
    companies: Annotated[
        int, typer.Option(min=10, max=1_000_000, help="How many companies; people in proportion.")
    ] = 10_500,
    password: Annotated[
        str | None, typer.Option(help="Of every demo account; by default one is drawn.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fill the running local stack with the demo: companies, people and calls that do not exist.

    Exit code 0: the demo is there. 1: it was refused; the sentence says why.
    """
    # The other commands run where the local stack is not installed.
    from deploy.local import first_run
    from deploy.local.errors import SeedFailed
    from deploy.local.layout import Layout, write_json

    try:
        description = json.loads(stack.read_text(encoding="utf-8"))
        if not {"gateway", "postgres", "services", "storage"} <= set(description):
            raise ValueError("addresses are missing")
    except FileNotFoundError:
        raise stop(
            f"no stack is running: there is no {stack}; `make run` starts one", REFUSED
        ) from None
    except (OSError, ValueError) as error:
        raise stop(f"{stack}: not the description of a stack ({error})", REFUSED) from None
    try:
        seeded = first_run.seed(
            layout=Layout(stack.absolute().parent),
            stack=description,
            companies=companies,
            password=password,
            say=None if as_json else out.print,
        )
    except SeedFailed as error:
        raise stop(str(error), REFUSED) from None
    # The first page shows these accounts from now on.
    write_json(stack, {**description, "accounts": seeded.accounts})
    if as_json:
        tell({"rows": seeded.rows, "accounts": seeded.accounts})
        return
    if not seeded.rows:
        out.print("the demo was there already; nothing was written")
    for service, rows in seeded.rows.items():
        out.print(f"{service}: {rows:,} rows")
    table = Table("role", "e-mail", "password")
    for role, account in seeded.accounts.items():
        table.add_row(role, account["email"], account["password"])
    out.print(table)
