"""Run the migrations of all services and write what they want of the broker, in one process.

The migrations are the command `python -m services.<name>.migrations` for each; starting five
interpreters that import the same libraries would cost two cores three seconds of every start.

`CCIB_PREPARE` holds, as JSON, the service's database URLs as their owners (`databases`), their
runtime roles (`roles`), their passwords at the
broker (`passwords`), the virtual host (`vhost`) and the file to write (`topology`).
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chassis import topology
from deploy.local.layout import write_json


def main() -> None:
    """Exits with the name of the service whose migrations failed among its last words."""
    told = json.loads(os.environ["CCIB_PREPARE"])
    for service, url in told["databases"].items():
        os.environ["CCIB_DATABASE_URL"] = url
        os.environ["CCIB_RUNTIME_ROLE"] = told["roles"][service]
        sys.argv = [f"services.{service}.migrations"]
        try:
            runpy.run_module(f"services.{service}.migrations", run_name="__main__")
        except BaseException:
            sys.stderr.write(f"in the migrations of {service}:\n")
            raise
    write_json(
        Path(told["topology"]), definitions(vhost=told["vhost"], passwords=told["passwords"])
    )


def definitions(*, vhost: str, passwords: Mapping[str, str]) -> dict[str, Any]:
    """What the services declare that they need in the broker."""
    wiring = {
        service: importlib.import_module(f"services.{service}.wiring").SERVICE
        for service in passwords
    }
    consumes = {service: list(wired.handlers) for service, wired in wiring.items()}
    return topology.definitions(vhost=vhost, passwords=passwords, consumes=consumes)


if __name__ == "__main__":
    main()
