"""Each service running once for the whole folder, with its callers, from when it is first asked for."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chassis.service import Service
from deploy.local.layout import SERVICES
from services.consultations.wiring import SERVICE as CONSULTATIONS
from services.directory.wiring import SERVICE as DIRECTORY
from services.identity.wiring import SERVICE as IDENTITY
from services.notifications.wiring import SERVICE as NOTIFICATIONS
from services.privacy.wiring import SERVICE as PRIVACY
from tests.mailbox import Mailbox
from tests.matrix.consultations import ConsultationsWorld
from tests.matrix.directory import DirectoryWorld
from tests.matrix.identity import IdentityWorld
from tests.matrix.notifications import NotificationsWorld
from tests.matrix.privacy import PrivacyWorld
from tests.matrix.world import World
from tests.stand import served, standing

WORLDS: dict[str, tuple[Service, Callable[..., World]]] = {
    "identity": (IDENTITY, IdentityWorld),
    "directory": (DIRECTORY, DirectoryWorld),
    "consultations": (CONSULTATIONS, ConsultationsWorld),
    "privacy": (PRIVACY, PrivacyWorld),
    "notifications": (NOTIFICATIONS, NotificationsWorld),
}


@dataclass
class Worlds:
    """The world of each service, by its name."""

    servers: SimpleNamespace
    mailbox: Mailbox
    folder: Path
    stack: AsyncExitStack
    _built: dict[str, World] = field(default_factory=dict)

    async def of(self, name: str) -> World:
        """The world of this service; the first time it is built."""
        if name not in self._built:
            more = await self._beside_identity() if name == "privacy" else {}
            service, make = WORLDS[name]
            stand = await self.stack.enter_async_context(
                standing(
                    service,
                    servers=self.servers,
                    folder=self.folder,
                    smtp_url=self.mailbox.url,
                    extra=[other for other in SERVICES if other != name],
                    **more,
                )
            )
            self._built[name] = world = make(stand, self.mailbox)
            await world.build()
        return self._built[name]

    async def _beside_identity(self) -> dict[str, Any]:
        """Privacy asks identity for the address of who leaves, before it tells anybody."""
        identity = (await self.of("identity")).stand
        url = await self.stack.enter_async_context(served(identity.app))
        return {"identity_url": url, "layout": identity.layout}


@pytest.fixture(scope="package")
async def worlds(
    servers: SimpleNamespace, mailbox: Mailbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Worlds]:
    async with AsyncExitStack() as stack:
        yield Worlds(servers, mailbox, tmp_path_factory.mktemp("matrix"), stack)
