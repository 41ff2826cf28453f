from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.counting import counted_statements
from services.directory.wiring import SERVICE
from tests.bus import BusStand, bus_standing
from tests.directory.town import Town
from tests.mailbox import Mailbox
from tests.stand import standing


@pytest.fixture
async def bus(servers: SimpleNamespace) -> AsyncIterator[BusStand]:
    async with bus_standing(servers) as stand:
        yield stand


@pytest.fixture(scope="package")
async def counted_town(
    servers: SimpleNamespace, mailbox: Mailbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[SimpleNamespace]:
    """A directory whose statements are counted, without a worker that would add its own."""
    folder: Path = tmp_path_factory.mktemp("directory")
    with counted_statements() as counted:
        async with standing(
            SERVICE, servers=servers, folder=folder, smtp_url=mailbox.url, worker=False
        ) as stand:
            yield SimpleNamespace(town=Town(stand), counted=counted)
