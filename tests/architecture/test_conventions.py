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


WITHOUT_VIEWER = {
    "identity.account_by_email": "sign-in, sign-up, lookup by scope: the doors never say if it exists",
    "identity.roles_of": "for a token of the account that signs in",
    "identity.login_failures": "counts tries for a keyed hash; nobody is shown it",
    "identity.addresses": "the door checks the scope identity:addresses",
    "privacy.to_ask": "the door checks the role (DPO)",
    "privacy.cookie_choice": "names nobody; who holds its random id",
    "privacy.erasure": "the door checks the key of that erasure, or the role (DPO)",
    "privacy.erasure_view": "of an erasure that `erasure` found",
    "privacy.erasures": "the door checks the role (DPO)",
    "privacy.planned": "the door checks the role (DPO); the job of retention",
    "privacy.unsettled": "a count",
    "privacy.request_view": "of a request that `visible_request` found",
    "privacy.waiting_requests": "the door checks the role (DPO)",
    "privacy.closed_requests": "the door checks the role (DPO)",
    "privacy.request_behind": "who holds the token of a mailed link",
    "notifications.subscription_behind": "who holds the token of a mail",
    "notifications.due_deliveries": "for the job that sends them",
    "notifications.claim_delivery": "for the job that sends it",
    "notifications.claim_others": "for the job that sends them",
}
"""Reads of tables about people that take no viewer, and who makes sure that this is right."""


def test_a_read_about_people_takes_its_viewer_or_says_who_checks() -> None:
    found = set()
    for service in SERVICES:
        wired: Service = import_module(f"services.{service}.wiring").SERVICE
        about_people = {entry.table.name for entry in wired.catalogue.subjects}
        models = vars(import_module(f"services.{service}.models"))
        tables = {n for n, m in models.items() if getattr(m, "__tablename__", "") in about_people}
        folder = Path("services") / service
        for path in (*folder.glob("queries.py"), *folder.glob("queries/*.py")):
            for node in parsed(path).body:
                if not isinstance(node, ast.AsyncFunctionDef) or node.name.startswith("_"):
                    continue
                names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
                if names & tables and "viewer" not in {one.arg for one in node.args.kwonlyargs}:
                    found.add(f"{service}.{node.name}")
    assert found == set(WITHOUT_VIEWER)


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
