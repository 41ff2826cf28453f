"""The five services as they run, each with a database that a test may replace by a backup."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from chassis import clock, restore
from contracts.privacy import ErasureCompleted
from services.consultations.wiring import SERVICE as CONSULTATIONS
from services.directory.wiring import SERVICE as DIRECTORY
from services.identity.wiring import SERVICE as IDENTITY
from services.notifications.wiring import SERVICE as NOTIFICATIONS
from services.privacy.wiring import SERVICE as PRIVACY
from tests.mailbox import Mailbox
from tests.privacy.troupe import Troupe, ask, playing
from tests.stand import Stand, standing

WIRED = {
    wired.name: wired for wired in (IDENTITY, DIRECTORY, CONSULTATIONS, NOTIFICATIONS, PRIVACY)
}

FOUR = [name for name in WIRED if name != "privacy"]

House = Callable[[str], Awaitable[Stand]]


@pytest.fixture(scope="package", autouse=True)
def impatient() -> Iterator[None]:
    """Look often, so that nobody waits for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restore, "EVERY_S", 0.1)
        yield


@pytest.fixture(scope="package")
async def house(
    impatient: None,
    servers: SimpleNamespace,
    mailbox: Mailbox,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[House]:
    """Gives the stand of a service, started when first asked for."""
    stands: dict[str, Stand] = {}
    async with AsyncExitStack() as stack:

        async def stand_of(name: str) -> Stand:
            if name not in stands:
                folder = tmp_path_factory.mktemp(name)
                others = [one for one in WIRED if one != name] if name == "privacy" else []
                stands[name] = await stack.enter_async_context(
                    standing(
                        WIRED[name],
                        servers=servers,
                        folder=folder,
                        smtp_url=mailbox.url,
                        extra=others,
                    )
                )
            return stands[name]

        yield stand_of


@pytest.fixture(scope="package")
async def privacy(house: House) -> Stand:
    return await house("privacy")


@pytest.fixture(scope="package")
async def troupe(privacy: Stand) -> AsyncIterator[Troupe]:
    async with playing(privacy, FOUR) as found:
        yield found


async def asked(privacy: Stand, person: UUID | None = None, **more: Any) -> UUID:
    """A wish that waits for no address: identity is not there."""
    return await ask(privacy, person, requested_at=clock.now() - timedelta(minutes=11), **more)


async def completed(privacy: Stand, erasure_id: UUID, *, times: int = 1) -> None:
    await privacy.hear(ErasureCompleted, times=times, erasure_id=erasure_id)
    await privacy.eventually(
        "SELECT completed_at IS NOT NULL FROM erasure WHERE erasure_id = $1", erasure_id
    )
