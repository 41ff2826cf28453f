from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from services.directory.wiring import SERVICE
from tests.directory.town import Town
from tests.mailbox import Mailbox
from tests.stand import Stand, standing


@pytest.fixture(scope="package")
async def directory(
    servers: SimpleNamespace, mailbox: Mailbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stand]:
    folder: Path = tmp_path_factory.mktemp("directory")
    async with standing(SERVICE, servers=servers, folder=folder, smtp_url=mailbox.url) as stand:
        yield stand


@pytest.fixture
def town(directory: Stand) -> Town:
    return Town(directory)
