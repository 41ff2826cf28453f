"""Run the migrations of all services in one process.

Each is the command `python -m services.<name>.migrations`; starting five interpreters that import
the same libraries would cost two cores three seconds of every start. `CCIB_MIGRATE` holds the
database of each service, as JSON.
"""

from __future__ import annotations

import json
import os
import runpy
import sys


def main() -> None:
    """Exits with the name of the service whose migrations failed as its last words."""
    for service, url in json.loads(os.environ["CCIB_MIGRATE"]).items():
        os.environ["CCIB_DATABASE_URL"] = url
        sys.argv = [f"services.{service}.migrations"]
        try:
            runpy.run_module(f"services.{service}.migrations", run_name="__main__")
        except BaseException:
            sys.stderr.write(f"in the migrations of {service}:\n")
            raise


if __name__ == "__main__":
    main()
