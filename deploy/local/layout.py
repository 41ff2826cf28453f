"""Where the local stack keeps things: everything under `.local/`, nothing anywhere else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]

SERVICES: tuple[str, ...] = tuple(
    sorted(path.parent.name for path in REPOSITORY.glob("services/*/main.py"))
)


@dataclass(frozen=True)
class Layout:
    """The folders of one stack."""

    root: Path

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def trust(self) -> Path:
        return self.root / "trust"

    @property
    def storage(self) -> Path:
        return self.root / "storage"

    @property
    def ledger(self) -> Path:
        return self.root / "ledger"

    @property
    def mail(self) -> Path:
        return self.root / "mail"

    @property
    def state(self) -> Path:
        """Files that processes of the stack write for themselves."""
        return self.root / "state"

    @property
    def description(self) -> Path:
        """`stack.json`: there while everything answers."""
        return self.root / "stack.json"

    @property
    def first_run(self) -> Path:
        """What the first run left: its absence makes a run the first one."""
        return self.root / "first-run.json"

    def make(self) -> None:
        for folder in (self.logs, self.trust, self.mail, self.state, self.ledger):
            folder.mkdir(parents=True, exist_ok=True)
        for service in SERVICES:
            (self.storage / service).mkdir(parents=True, exist_ok=True)

    def wipe(self) -> None:
        """Remove what the stack keeps, and nothing else that may lie in the folder."""
        for folder in (
            self.logs,
            self.secrets,
            self.trust,
            self.storage,
            self.ledger,
            self.mail,
            self.state,
        ):
            shutil.rmtree(folder, ignore_errors=True)
        self.description.unlink(missing_ok=True)
        self.first_run.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write as one step, readable by its owner only: it holds passwords."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    fresh.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """The content, or nothing when there is no such file."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return content
