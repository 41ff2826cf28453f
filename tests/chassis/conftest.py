from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from chassis import log
from tests.bus import BusStand, bus_standing


@pytest.fixture(autouse=True, scope="package")
def _logs() -> None:
    """As in production: an exception without its values, and without a page of colours."""
    log.configure(service="tests")


@pytest.fixture
async def bus(servers: SimpleNamespace) -> AsyncIterator[BusStand]:
    async with bus_standing(servers) as stand:
        yield stand
