"""`docs/operator.md`: the manual, from what the commands say of themselves.

`python -m cli.manual` writes it. Above the mark stands what people wrote; below, the help of every
command, which a test compares with the command itself.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from cli.main import GROUPS, app

PAGE = Path(__file__).parents[1] / "docs" / "operator.md"
MARK = "<!-- Below: written by `python -m cli.manual`. -->"


def page() -> str:
    """The page as it should be: what people wrote, then every command."""
    written, _, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    return f"{written}{MARK}\n\n" + "\n".join(_commands())


def _commands() -> Iterator[str]:
    root: Any = get_command(app)
    context = root.make_context("ccib", [], resilient_parsing=True)
    yield from _section("## ccib", "ccib", root, None)
    grouped = {title: list(names) for title, names in GROUPS.items()}
    known = {name for names in grouped.values() for name in names}
    grouped["More"] = [name for name in root.list_commands(context) if name not in known]
    for title, names in grouped.items():
        if names:
            yield f"## {title}\n"
        for name in names:
            command = root.get_command(context, name)
            yield from _section(f"### ccib {name}", f"ccib {name}", command, context)
            for inner in getattr(command, "commands", {}).values():
                path = f"ccib {name} {inner.name}"
                yield from _section(f"#### {path}", path, inner, context)


def _section(title: str, path: str, command: Any, parent: Any) -> Iterator[str]:
    context = command.make_context(
        path.rpartition(" ")[2] if parent else path, [], parent=parent, resilient_parsing=True
    )
    help_text = command.get_help(context).replace("\b\n", "")
    usage = re.sub(
        r"^Usage: .*?(?= \[|$)", f"Usage: {path}", help_text, count=1, flags=re.MULTILINE
    )
    lines = "\n".join(line.rstrip() for line in usage.splitlines())
    yield f"{title}\n\n```text\n{lines}\n```\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    # The width of a terminal is no property of the page.
    os.environ["COLUMNS"] = "88"
    main()
