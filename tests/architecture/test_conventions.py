"""Conventions that no linter knows. A convention is executable or it does not exist."""

import ast
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from chassis.catalogue import KEY, NotPersonal
from chassis.service import Service

SERVICES = sorted(path.parent.name for path in Path("services").glob("*/wiring.py"))
CODE = [
    path
    for root in ("chassis", "contracts", "services", "cli")
    for path in sorted(Path(root).rglob("*.py"))
    if "versions" not in path.parts
]
SAME_FILES = {
    "README.md",
    "__init__.py",
    "errors.py",
    "main.py",
    "migrations",
    "pyproject.toml",
    "wiring.py",
    "worker.py",
}
OPTIONAL = {"actions", "api", "consumers", "credentials", "erasure", "jobs", "messages", "models"}
OPTIONAL |= {"queries", "schemas", "settings", "notices", "reference", "templates"}


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@pytest.mark.parametrize("path", CODE, ids=str)
def test_only_the_edge_commits(path: Path) -> None:
    if path.parts[0] == "chassis":
        return
    for call in calls(parsed(path)):
        if isinstance(call.func, ast.Attribute):
            assert call.func.attr not in {"commit", "rollback"}, f"{path}:{call.lineno}"


@pytest.mark.parametrize("path", CODE, ids=str)
def test_only_the_chassis_talks_to_the_broker(path: Path) -> None:
    if path.parts[0] == "chassis":
        return
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            assert not any(name.name.startswith("aio_pika") for name in node.names), path
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith(("aio_pika", "aiormq")), path


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_the_same_files_as_the_others(service: str) -> None:
    folder = Path("services") / service
    names = {path.name for path in folder.iterdir() if path.name != "__pycache__"}
    assert names >= SAME_FILES, f"missing in {service}: {SAME_FILES - names}"
    unknown = {name.removesuffix(".py") for name in names - SAME_FILES} - OPTIONAL
    assert not unknown, f"a new name is a design decision: {unknown}"


@pytest.mark.parametrize("service", SERVICES)
def test_models_do_no_input_or_output(service: str) -> None:
    models = Path("services") / service / "models"
    files = (
        [models.with_suffix(".py")] if models.with_suffix(".py").exists() else models.glob("*.py")
    )
    for path in files:
        for node in ast.walk(parsed(path)):
            assert not isinstance(node, (ast.AsyncFunctionDef, ast.Await)), path


@pytest.mark.parametrize("service", SERVICES)
def test_a_read_for_somebody_says_for_whom(service: str) -> None:
    """A query that returns what belongs to people takes the viewer as a keyword, without default."""
    folder = Path("services") / service
    files = (
        [folder / "queries.py"]
        if (folder / "queries.py").exists()
        else list((folder / "queries").glob("*.py"))
    )
    for path in files:
        for node in parsed(path).body:
            if not isinstance(node, ast.AsyncFunctionDef):
                continue
            keywords = dict(zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True))
            for argument, default in keywords.items():
                if argument.arg == "viewer":
                    assert default is None, f"{path}:{node.lineno}"
            assert len(node.args.args) <= 1, f"{path}:{node.lineno}: keyword-only arguments"


@pytest.mark.parametrize("service", SERVICES)
def test_reasons_for_calling_a_column_not_personal_are_given(service: str) -> None:
    wired: Service = import_module(f"services.{service}.wiring").SERVICE
    for table, column, declared in wired.catalogue.columns():
        if isinstance(declared, NotPersonal):
            assert len(declared.why) >= 5, f"{table.name}.{column.name}"
        assert column.info[KEY] is declared


def test_no_path_of_one_machine_and_no_registry_host_in_the_tree() -> None:
    words = ("/home/", "/root/")
    for path in CODE:
        text = path.read_text(encoding="utf-8")
        for word in words:
            assert word not in text, f"{path}: {word}"
