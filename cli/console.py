"""How every command speaks: sentences for people, `--json` for machines, exit codes for scripts."""

import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

# Who reads a file or a pipe wants one line per row, whatever the width of a terminal is.
out = Console(width=None if sys.stdout.isatty() else 200)
err = Console(stderr=True, soft_wrap=True)

REFUSED = 1
"""Exit code: the answer is no - not valid, not there, not allowed."""
UNREADABLE = 2
"""Exit code: what was given cannot be read as what it should be."""
UNREACHABLE = 3
"""Exit code: the platform, a database or the broker does not answer."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def stop(sentence: str, code: int) -> typer.Exit:
    """Say why on standard error; raise what this returns."""
    err.print(sentence, markup=False)
    return typer.Exit(code)


def grid(*columns: str) -> Table:
    """A table that folds what is long rather than cutting it: ids and names stay whole."""
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def tell(data: Any) -> None:
    """Print data as JSON."""
    out.print_json(data=data, default=str)
