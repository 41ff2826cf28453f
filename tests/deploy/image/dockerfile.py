"""The Dockerfile as the tests read it: what it copies, and how it installs."""

import fnmatch
import re
import shlex
import subprocess
from pathlib import Path

from deploy.images import Image
from deploy.local.layout import REPOSITORY

FILE = REPOSITORY / "deploy" / "Dockerfile"


def stage(name: str) -> list[str]:
    """The instructions of a stage, each on one line; comments left out."""
    text = re.sub(r"(?m)^#.*\n", "", FILE.read_text(encoding="utf-8"))
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    [start] = [
        number for number, line in enumerate(lines) if re.match(rf"FROM .* AS {name}$", line)
    ]
    found = []
    for line in lines[start + 1 :]:
        if line.startswith("FROM "):
            break
        found.append(line)
    return [line for line in found if line]


def copied(name: str, image: Image) -> dict[str, str]:
    """By source, the destination of every COPY of a stage."""
    found: dict[str, str] = {}
    for line in stage(name):
        if line.startswith("COPY "):
            named = line.replace("${FOLDER}", image.folder).replace("${IMPORTS}", image.imports)
            *sources, target = named.split()[1:]
            for source in sources:
                is_folder = source.endswith("/") or not target.endswith("/")
                found[source] = target if is_folder else f"{target}{Path(source).name}"
    return found


def installing(image: Image) -> list[str]:
    """The arguments of the one `uv sync`."""
    [line] = [one for one in stage("dependencies") if "uv sync" in one]
    return shlex.split(line[line.index("uv sync") :].replace("${SERVICE}", image.service))[1:]


def tracked() -> list[str]:
    """Every file of the repository that git knows, or would know."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    said = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return sorted(path for path in said.stdout.splitlines() if (REPOSITORY / path).exists())


def sent(paths: list[str]) -> list[str]:
    """Those that .dockerignore lets into a build: the last rule that fits decides."""
    rules = [
        line
        for line in (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    return [path for path in paths if not _ignored(path, rules)]


def _ignored(path: str, rules: list[str]) -> bool:
    ignored = False
    for rule in rules:
        pattern = rule.removeprefix("!")
        if _fits(path, pattern):
            ignored = not rule.startswith("!")
    return ignored


def _fits(path: str, pattern: str) -> bool:
    """Whether the pattern names the file, or a folder that it is in."""
    parts = path.split("/")
    if pattern.startswith("**/"):
        return any(fnmatch.fnmatch(part, pattern[3:]) for part in parts)
    depth = len(pattern.split("/"))
    return fnmatch.fnmatch("/".join(parts[:depth]), pattern)
