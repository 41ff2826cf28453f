"""What the terminal shows: one line per step, one sentence per error, one screen at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

ROLES = {
    "member": "membre",
    "buyer": "donneur d'ordre",
    "animator": "animateur",
    "agent": "conseiller CCI",
    "dpo": "délégué à la protection des données",
    "operator": "exploitant",
}


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
        places = Table.grid(padding=(0, 2))
        places.add_row("Site", f"[bold]{gateway}/[/bold]", "start here: a guided tour")
        places.add_row("Mail", f"{stack['mail']}/", "every mail the platform sends")
        for service in stack["services"]:
            places.add_row("API", f"{gateway}/api/{service}/docs", "")
        accounts = Table(box=None, padding=(0, 2), header_style="dim")
        for title in ("role", "e-mail", "password"):
            accounts.add_column(title)
        for role, account in stack["accounts"].items():
            accounts.add_row(
                f"{role} ({ROLES.get(role, role)})", account["email"], account["password"]
            )
        self._console.print()
        self._console.print(places)
        if stack["accounts"]:
            self._console.print()
            self._console.print(accounts)
        self._console.print(f"\nLogs: {stack['logs']}", markup=False)
        self._console.print("Ctrl-C stops everything that was started here, and nothing else.\n")
