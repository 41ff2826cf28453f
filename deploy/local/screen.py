"""What the terminal shows: one line per step, one sentence per error, one screen at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console


class Progress:
    """Call it with a sentence."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._started = time.monotonic()

    def __call__(self, sentence: str) -> None:
        seconds = time.monotonic() - self._started
        self._console.print(f"[dim]{seconds:6.1f} s[/dim]  ", end="")
        self._console.print(sentence, markup=False)

    def error(self, sentence: str) -> None:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            sentence, style="bold red", markup=False
        )

    def ready(self, stack: Mapping[str, Any]) -> None:
        """The last screen: where everything is, and how to stop it."""
        gateway = stack["gateway"]
        rows = [
            ("Site", f"{gateway}/", "start here"),
            ("Mail", f"{stack['mail']}/", "every mail the platform sends"),
            *(("API", f"{gateway}/api/{name}/docs", "") for name in stack["services"]),
        ]
        self._table(rows)
        if stack["accounts"]:
            accounts = stack["accounts"].items()
            self._table([(role, it["email"], it["password"]) for role, it in accounts])
        self._console.print(f"\nLogs: {stack['logs']}", markup=False)
        self._console.print("Ctrl-C stops everything that was started here, and nothing else.\n")

    def _table(self, rows: Sequence[tuple[str, ...]]) -> None:
        """Never cut or folded, however narrow the terminal: people copy from it."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        self._console.print()
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self._console.print("  " + "  ".join(cells).rstrip(), markup=False)
