"""promtool without a service: the one on the PATH, else out of Debian's package, unpacked and not installed."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from deploy.local.layout import REPOSITORY

CACHE = REPOSITORY / ".local" / "cache" / "prometheus"


def promtool() -> Path:
    """Raises `AssertionError` with the reason when there is none to be had."""
    if found := shutil.which("promtool"):
        return Path(found)
    binary = CACHE / "usr" / "bin" / "promtool"
    if not binary.exists():
        CACHE.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE.parent) as folder:
            _run(["apt-get", "download", "prometheus"], folder=Path(folder))
            [package] = Path(folder).glob("prometheus_*.deb")
            _run(["dpkg-deb", "-x", str(package), "unpacked"], folder=Path(folder))
            (Path(folder) / "unpacked").replace(CACHE)
    return binary


def _run(command: list[str], *, folder: Path) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=100, check=False
        )
    except FileNotFoundError as error:
        raise AssertionError(
            f"there is no promtool, and no {error.filename} to get it: install Prometheus"
        ) from error
    assert done.returncode == 0, (
        f"there is no promtool, and {' '.join(command)} failed; `apt-get update` may help, or install"
        f" Prometheus:\n{done.stderr}"
    )
