"""`python -m tests.mutants [--json]`: try every mutant and print what became of each."""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from deploy.local.backing import servers
from tests.mutants import score


def main() -> None:
    """Needs PostgreSQL, found as everywhere (`deploy/local/backing.py`)."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--json", action="store_true", help="one line for each mutant")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # the server may run as another user
        with servers(Path(folder), durable=False) as found:
            results = asyncio.run(score.all_of(found.postgres_url))
    for result in results if wanted.json else ():
        caught = result.caught
        line = {
            **vars(result.mutant),
            "caught_by": caught and caught.by.value,
            "words": caught and caught.words,
            "test": result.test,
        }
        print(json.dumps(line, ensure_ascii=False))
    print("\n".join(score.table(results)), file=sys.stderr if wanted.json else sys.stdout)
    sys.exit(any(result.caught is None for result in results))


if __name__ == "__main__":
    main()
