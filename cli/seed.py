"""`ccib seed`: the demo, written into the running local stack."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cli.console import REFUSED, UNREADABLE, AsJson, err, out, stop, tell
from cli.platform import described


@contextmanager
def _bar(companies: int, *, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar with rate and time left, on standard error."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[records]:,} records, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    begun = monotonic()
    with Progress(*columns, console=err, disable=not shown) as bar:
        task = bar.add_task("companies", total=companies, records=0, rate=0)

        def tell_bar(drawn: int, records: int) -> None:
            rate = records / max(monotonic() - begun, 0.001)
            bar.update(task, completed=drawn, records=records, rate=rate)
            if drawn >= companies:
                bar.update(task, description="calls, then statistics")

        yield tell_bar


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

    Writes straight into the databases, in batches, in one transaction per service: interrupted, it
    leaves nothing, or what the next run completes. Its memory stays near 200 MB whatever the number.
    A million companies take long: keep the machine for them, and some gigabytes of disk.

    Exit code 0: the demo is there. 1: it was refused or interrupted; the sentence says why.
    2: wrong arguments, or the description cannot be read. 3: no stack is running.

    Example: ccib seed --companies 1000000
    """
    # The other commands run where the local stack is not installed.
    from deploy.local import first_run
    from deploy.local.errors import SeedFailed
    from deploy.local.layout import Layout, write_json

    description = described(stack)
    if not {"gateway", "postgres", "services", "storage"} <= set(description):
        raise stop(f"{stack}: not the description of a stack (addresses are missing)", UNREADABLE)
    try:
        with _bar(companies, shown=not as_json) as progress:
            seeded = first_run.seed(
                layout=Layout(stack.absolute().parent),
                stack=description,
                companies=companies,
                password=password,
                progress=progress,
            )
    except SeedFailed as error:
        raise stop(str(error), REFUSED) from None
    except KeyboardInterrupt:
        raise stop("interrupted: do it again, the next run completes it", REFUSED) from None
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
