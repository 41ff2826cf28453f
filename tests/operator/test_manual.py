"""The manual is the help, and the help keeps its promises."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from cli import manual
from cli.main import app


@pytest.fixture(autouse=True)
def a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "88")


def commands() -> Iterator[tuple[str, Any, str]]:
    """Every command that does something, with its help and that of its group."""
    root: Any = get_command(app)
    context = root.make_context("ccib", [], resilient_parsing=True)
    for name in root.list_commands(context):
        found = root.get_command(context, name)
        for inner in getattr(found, "commands", {}).values():
            yield f"{name} {inner.name}", inner, f"{found.help} {inner.help}"
        if not hasattr(found, "commands"):
            yield name, found, found.help or ""


def test_the_manual_says_what_the_commands_say() -> None:
    written = manual.PAGE.read_text(encoding="utf-8")
    assert manual.page() == written, "python -m cli.manual writes it again"
    assert manual.MARK in written


def test_every_command_explains_itself_and_speaks_json() -> None:
    found = {name: (command, text) for name, command, text in commands()}
    assert {"doctor", "seed", "verify", "dead-letters replay", "participants rotate"} <= set(found)
    for name, (command, text) in found.items():
        options = {option for one in command.params for option in one.opts}
        assert "--json" in options, name
        assert "xit code" in text, f"{name} does not tell its exit codes"
        assert len(text) > 40, name
        for one in command.params:
            assert one.name == "help" or getattr(one, "help", None), f"{name}: {one.name}"


def test_help_needs_nothing_to_run() -> None:
    assert "CCIB_URL" not in os.environ
    root: Any = get_command(app)
    context = root.make_context("ccib", [], resilient_parsing=True)
    text = root.get_help(context)
    for word in ("Examples:", "Exit codes:", "CCIB_TOKEN", "CCIB_EMAIL", "dead-letters", "doctor"):
        assert word in text
