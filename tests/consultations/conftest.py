from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from services.consultations.wiring import SERVICE
from tests.consultations.world import World
from tests.mailbox import Mailbox
from tests.stand import Stand, standing


@pytest.fixture(scope="package")
async def consultations(
    servers: SimpleNamespace, mailbox: Mailbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stand]:
    folder: Path = tmp_path_factory.mktemp("consultations")
    async with standing(SERVICE, servers=servers, folder=folder, smtp_url=mailbox.url) as stand:
        yield stand


@pytest.fixture
def world(consultations: Stand) -> World:
    return World(consultations)
