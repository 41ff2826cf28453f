"""What is in each image, as CycloneDX: `python -m deploy.sbom FOLDER`, or `make sbom`.

From the lock file, with hashes; licences from the metadata of what is installed here. The Debian
packages of the base image are not in it: a scanner reads them from the image itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from deploy.images import IMAGES, Image, canonical, requirements
from deploy.licences import installed, licence
from deploy.local.layout import REPOSITORY


def bill(image: Image) -> dict[str, Any]:
    """The bill of one image. The same lock file gives the same bill."""
    done = subprocess.run(
        [
            Path(sys.executable).with_name("cyclonedx-py"),
            *("requirements", "-", "--output-reproducible", "--of", "JSON"),
            *("--pyproject", REPOSITORY / image.folder / "pyproject.toml"),
        ],
        input=requirements(image),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    found["metadata"]["component"]["name"] = image.name
    for component in found["components"]:
        name = canonical(component["name"])
        if name in installed() and (said := licence(name)):
            component["licenses"] = [{"expression": said}]
    return found


def main() -> int:
    """The command; returns its exit code."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "dist/sbom")
    folder.mkdir(parents=True, exist_ok=True)
    for image in IMAGES:
        made = bill(image)
        path = folder / f"{image.name}.cdx.json"
        path.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
        sys.stdout.write(f"{path}: {len(made['components'])} packages\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
