from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

pytest.register_assert_rewrite("tests.faults.workers")

from chassis import log  # noqa: E402 - after the line that it needs
from tests.bus import BusStand, bus_standing  # noqa: E402
from tests.faults import report  # noqa: E402
from tests.faults.load import Run, name_of, recorded  # noqa: E402
from tests.faults.scenarios import scenario_of  # noqa: E402


@pytest.fixture(autouse=True, scope="package")
def _logs() -> None:
    """As in production: an exception without its values, and without a page of colours."""
    log.configure(service="tests")


@pytest.fixture
async def bus(servers: SimpleNamespace) -> AsyncIterator[BusStand]:
    async with bus_standing(servers) as stand:
        yield stand


@pytest.fixture
async def run(bus: BusStand, request: pytest.FixtureRequest) -> AsyncIterator[Run]:
    """A recorded run on the stand, with the bound of the scenario that the test is a place of."""
    scenario = scenario_of(request.node.nodeid)
    assert scenario, "say in tests/faults/scenarios.py which fault this is"
    name = str(name_of(request.node.nodeid))
    async with recorded(bus, name=name, bound=scenario.bound, scenario=scenario.name) as one:
        one.told = lambda injected, seconds: report.tell(
            request.node, injected=injected, seconds=seconds
        )
        yield one
