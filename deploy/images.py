"""The images of the platform, and the packages in each: what uv.lock says for one member, no more."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache

from deploy.local.layout import REPOSITORY, SERVICES

TOOLS = REPOSITORY / ".local" / "tools" / "bin"
"""Where `make` installs uv when it is not on the PATH."""


@dataclass(frozen=True)
class Image:
    """What one image is built with: the arguments of `deploy/Dockerfile`."""

    service: str
    """The member of the workspace."""
    folder: str
    imports: str = "contracts"
    """A further folder of the repository whose code it needs."""

    @property
    def name(self) -> str:
        return f"ccib-{self.folder.rpartition('/')[2]}"


IMAGES = (
    *(Image(service, f"services/{service}") for service in SERVICES),
    Image("web", "web"),
    Image("ccib", "cli"),
    Image("demo", "deploy/demo", imports="services"),
)


class UvError(Exception):
    """uv is not there, or refused; the message is a sentence or uv's own."""


def uv(*arguments: str) -> str:
    """What uv prints. Raises `UvError`."""
    found = shutil.which("uv", path=f"{os.environ['PATH']}{os.pathsep}{TOOLS}")
    if found is None:
        raise UvError("uv is neither on the PATH nor where `make` installs it: run `make check`")
    done = subprocess.run(
        [found, *arguments, "--quiet"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UvError(done.stderr)
    return done.stdout


@cache
def requirements(image: Image) -> str:
    """The packages of an image with their hashes, as pip writes them. Raises `UvError`."""
    return uv(
        *("export", "--package", image.service, "--no-dev", "--locked"),
        *("--no-emit-workspace", "--no-annotate", "--no-header"),
    )


def packages(image: Image) -> set[str]:
    """Their canonical names, those for other systems included. Raises `UvError`."""
    return set(re.findall(r"(?m)^([a-z0-9-]+)(?:\[[^\]]*\])?==", requirements(image)))


def canonical(name: str) -> str:
    """As uv writes names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
