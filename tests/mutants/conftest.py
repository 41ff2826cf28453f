from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
import structlog.testing

from tests.mutants import desk, evidence
from tests.mutants.desk import Desk
from tests.mutants.evidence import Court


@pytest.fixture(scope="package")
async def desks(
    servers: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, Desk]]:
    """Each service's database as migrated, the same person in every table of them all."""
    async with desk.desks(servers.postgres_url, tmp_path_factory.mktemp("mutants")) as found:
        yield found


@pytest.fixture
async def court(desks: dict[str, Desk]) -> AsyncIterator[Court]:
    """Privacy before a broadcast that nobody has answered."""
    with structlog.testing.capture_logs():
        async with evidence.court(desks) as found:
            yield found
