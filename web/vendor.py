"""Fetch htmx from its package and put it, with its licence, beside the site's own files (`make reference`)."""

import subprocess
import tarfile
import tempfile
from pathlib import Path

VERSION = "4.0.1"
STATIC = Path(__file__).with_name("static")


def main() -> None:
    """Raises `CalledProcessError` when npm or its registry is not there."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", f"htmx.org@{VERSION}"], cwd=folder, check=True)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as package:
            for member, name in (
                ("package/dist/htmx.min.js", "htmx.min.js"),
                ("package/LICENSE", "htmx.LICENSE.txt"),
            ):
                found = package.extractfile(member)
                if found is None:
                    raise FileNotFoundError(member)
                lines = found.read().decode().splitlines(keepends=True)
                # Without the map, which is not here, no browser asks for it.
                kept = [line for line in lines if "sourceMappingURL" not in line]
                (STATIC / name).write_text("".join(kept), encoding="utf-8")


if __name__ == "__main__":
    main()
