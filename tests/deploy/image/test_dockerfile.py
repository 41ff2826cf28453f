"""The Dockerfile itself: linted, pinned, and with nothing in it that could drift."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from deploy.images import IMAGES, Image
from deploy.local.layout import REPOSITORY
from tests.deploy.image import dockerfile

TEXT = dockerfile.FILE.read_text(encoding="utf-8")


def test_hadolint_finds_nothing() -> None:
    command = [str(Path(sys.executable).with_name("hadolint")), str(dockerfile.FILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_foreign_image_is_named_by_its_digest() -> None:
    stages = set(re.findall(r"(?m)^FROM \S+ AS (\w+)$", TEXT))
    foreign = set(re.findall(r"(?m)^FROM (\S+)", TEXT)) - stages
    assert foreign
    for name in foreign | (set(re.findall(r"--from=(\S+)", TEXT)) - stages):
        assert re.fullmatch(r"[\w./:-]+:[\w.-]+@sha256:[0-9a-f]{64}", name), name


def test_the_python_is_the_one_of_the_tests() -> None:
    [version] = set(re.findall(r"FROM python:(\d+\.\d+)-", TEXT))
    assert version == f"{sys.version_info.major}.{sys.version_info.minor}"


def test_uv_is_the_one_of_the_makefile() -> None:
    [make] = re.findall(r"UV_VERSION := (\S+)", (REPOSITORY / "Makefile").read_text())
    assert f"ARG UV_VERSION={make}\n" in TEXT


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert f"ARG VERSION={project['version']}\n" in TEXT


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_uv_sees_the_whole_workspace(image: Image) -> None:
    workspace = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["uv"][
        "workspace"
    ]
    members = {
        str(path.relative_to(REPOSITORY))
        for pattern in workspace["members"]
        for path in REPOSITORY.glob(f"{pattern}/pyproject.toml")
    }
    assert set(dockerfile.copied("dependencies", image)) == members | {"pyproject.toml", "uv.lock"}


def test_what_runs_is_nobody_and_can_be_asked_how_it_is() -> None:
    last = TEXT[TEXT.rindex("\nFROM ") :]
    assert "\nUSER 10001:10001\n" in last
    assert "\nSTOPSIGNAL SIGTERM\n" in last
    assert "http://127.0.0.1:9090/health/live" in last
    assert "uv" not in re.findall(r"[\w-]+", re.sub(r"(?m)^#.*$", "", last))
