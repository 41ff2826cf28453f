"""Fetch the JSON Schema of AsyncAPI from the registry package that publishes it; needs `npm`.

Run by `make reference`. The file is taken as it is, with its licence; npm checks the archive.
"""

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PACKAGE = "@asyncapi/specs@6.11.1"
VERSION = "3.0.0"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", "--pack-destination", folder, PACKAGE]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        [archive] = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        package = Path(folder) / "package"
        shutil.copyfile(package / f"schemas/{VERSION}.json", HERE / f"asyncapi-{VERSION}.json")
        for notice in ("LICENSE", "NOTICE"):
            shutil.copyfile(package / notice, HERE / notice)


if __name__ == "__main__":
    main()
