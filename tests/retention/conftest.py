"""Privacy as it runs, in a year of one's choice: its clocks are moved together, or apart."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from types import SimpleNamespace

import pytest

from chassis import clock
from services.identity.wiring import SERVICE as IDENTITY
from tests.mailbox import Mailbox
from tests.privacy.conftest import OTHERS, Members, privacy_standing
from tests.privacy.troupe import Troupe, playing
from tests.retention.years import Years
from tests.stand import Stand, standing


@pytest.fixture(scope="package")
def post() -> Iterator[Mailbox]:
    with Mailbox() as box:
        yield box


@pytest.fixture(scope="package")
async def members(
    servers: SimpleNamespace, post: Mailbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Members]:
    folder = tmp_path_factory.mktemp("retention")
    async with standing(IDENTITY, servers=servers, folder=folder, smtp_url=post.url) as stand:
        found = Members(stand=stand, post=post)
        await found.up()
        yield found
        await found.down()


@pytest.fixture(scope="package")
async def privacy(
    servers: SimpleNamespace, members: Members, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stand]:
    folder = tmp_path_factory.mktemp("retention")
    async with privacy_standing(servers, members, folder=folder) as stand:
        yield stand


@pytest.fixture(scope="package")
async def troupe(privacy: Stand) -> AsyncIterator[Troupe]:
    async with playing(privacy, OTHERS) as found:
        yield found


@pytest.fixture
async def years(privacy: Stand, troupe: Troupe) -> AsyncIterator[Years]:
    """No account, no run, and clocks that tell the truth when the test is over."""
    await privacy.rows("TRUNCATE retention, retention_run, memberships_heard")
    yield Years(stand=privacy)
    clock.rehearse(timedelta(0))
    clock.shift(timedelta(0))
