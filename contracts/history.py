"""What was promised: the schemas of the newest release, or of the main branch, as git keeps them."""

import io
import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class NoHistoryError(Exception):
    """There is nothing to compare with; the message says why."""


@dataclass(frozen=True)
class Promise:
    """Schemas that others may rely on, by event type, and where they stand."""

    where: str
    schemas: dict[str, dict[str, Any]]


def promised(folder: Path, *, base: str | None = None) -> Promise:
    """The schemas of `base` (any git revision), else of what others are most likely to have.

    That is the newest release (a tag `v…`) that this commit contains; before there is one, where
    this branch left the main branch; on the main branch itself, the last commit. Raises
    `NoHistoryError`: no git here, no such revision, or no schemas in it.
    """
    revision = base or _newest_release(folder) or _fork(folder) or "HEAD"
    archive = _git(folder, "archive", revision, "schemas")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {
            member.name: tar.extractfile(member) for member in tar if member.name.endswith(".json")
        }
        schemas = {Path(name).stem: json.load(file) for name, file in files.items() if file}
    return Promise(where=revision if base else _named(folder, revision), schemas=schemas)


def _newest_release(folder: Path) -> str | None:
    return _line(folder, "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*")


def _fork(folder: Path) -> str | None:
    for branch in ("origin/main", "main"):
        if found := _line(folder, "merge-base", "HEAD", branch):
            return found
    return None


def _named(folder: Path, revision: str) -> str:
    return _line(folder, "rev-parse", "--abbrev-ref", revision) or revision[:12]


def _line(folder: Path, *words: str) -> str | None:
    try:
        return _git(folder, *words).decode().strip() or None
    except NoHistoryError:
        return None


def _git(folder: Path, *words: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, check=False)
    except FileNotFoundError:
        raise NoHistoryError("git is not installed") from None
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()
        raise NoHistoryError(reason[-1] if reason else f"git {words[0]} failed")
    return done.stdout
