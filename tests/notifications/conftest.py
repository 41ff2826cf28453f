from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from services.identity.wiring import SERVICE as IDENTITY
from services.notifications.wiring import SERVICE as NOTIFICATIONS
from tests.mailbox import Mailbox
from tests.notifications.world import World
from tests.proxy import proxying
from tests.stand import served, standing


@pytest.fixture
def world(everything: World) -> World:
    """Whatever an earlier test cut is whole again."""
    everything.identity_line.mend()
    everything.mail_line.mend()
    return everything


@pytest.fixture(scope="package")
async def everything(
    servers: SimpleNamespace, mailbox: Mailbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("notifications")
    async with (
        standing(IDENTITY, servers=servers, folder=folder, smtp_url=mailbox.url) as identity,
        served(identity.app) as identity_url,
        proxying(identity_url) as identity_line,
        proxying(mailbox.url) as mail_line,
        standing(
            NOTIFICATIONS,
            servers=servers,
            folder=folder,
            layout=identity.layout,
            smtp_url=f"smtp://127.0.0.1:{mail_line.port}",
            identity_url=f"http://127.0.0.1:{identity_line.port}",
        ) as stand,
    ):
        yield World(
            stand=stand,
            identity=identity,
            mailbox=mailbox,
            identity_line=identity_line,
            mail_line=mail_line,
        )
