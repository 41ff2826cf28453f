from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from services.identity.wiring import SERVICE
from tests.mailbox import Mailbox
from tests.stand import Stand, standing


@pytest.fixture(scope="package")
async def identity(
    servers: SimpleNamespace, mailbox: Mailbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stand]:
    folder: Path = tmp_path_factory.mktemp("identity")
    async with standing(SERVICE, servers=servers, folder=folder, smtp_url=mailbox.url) as stand:
        yield stand
