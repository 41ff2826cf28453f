"""What every test may ask for: real servers, shared by all tests of a run."""

import functools
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import httpx2._transports.default as httpx2_transports
import psutil
import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from deploy.local import binaries
from deploy.local.backing import Servers
from deploy.local.backing import servers as backing_servers
from tests.certificates import SecureBroker
from tests.faults.report import pytest_terminal_summary
from tests.mailbox import Mailbox

__all__ = ["pytest_terminal_summary"]  # the table of faults, also when processes share the work

_FOLDER = "CCIB_TEST_FOLDER"

# Every client would read the authorities' certificates again: a tenth of all the time of the tests.
httpx2_transports.create_ssl_context = functools.cache(httpx2_transports.create_ssl_context)  # type: ignore[attr-defined]

# The same examples everywhere, and as much time as a busy machine takes for one.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")


def _ours(found: Servers) -> bool:
    return any(server.name == "rabbitmq" for server in found.private)


class _Keeper(threading.Thread):
    """Holds PostgreSQL and RabbitMQ for one run, in a thread that lives as long as it does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(name="servers")
        self.folder = folder
        self.done = threading.Event()

    def run(self) -> None:
        try:
            secure = SecureBroker.prepare(self.folder / "certificates")
            with backing_servers(
                self.folder / "servers", durable=False, broker_settings=secure.settings
            ) as found:
                self._tell(
                    **(secure.addresses(found.amqp_url) if _ours(found) else {}),
                    postgres_url=found.postgres_url,
                    amqp_url=found.amqp_url,
                    management_url=found.management_url,
                )
                self.done.wait()
        except Exception as error:  # noqa: BLE001 - told to every test that asks for a server
            self._tell(error=f"{type(error).__name__}: {error}")

    def _tell(self, **what: str) -> None:
        draft = self.folder / "servers.new"
        draft.write_text(json.dumps(what))
        draft.replace(self.folder / "servers.json")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    root = Path(config.rootpath) / ".local" / "tests"
    root.mkdir(parents=True, exist_ok=True)
    _forget_old_runs(root)
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=root))
    folder.chmod(0o755)  # the servers run as somebody else
    os.environ[_FOLDER] = str(folder)
    config.stash[_KEEPER] = keeper = _Keeper(folder)
    keeper.start()


_KEEPER = pytest.StashKey[_Keeper]()
_RUNS_KEPT = 5
"""Folders with the logs of runs that are over."""


def _forget_old_runs(root: Path) -> None:
    over = [one for one in root.iterdir() if not psutil.pid_exists(int(one.name.split("-")[0]))]
    for folder in sorted(over, key=lambda one: one.stat().st_mtime)[:-_RUNS_KEPT]:
        shutil.rmtree(folder, ignore_errors=True)


_LONG = (
    "journeys",
    "web",
    "privacy",
    "restore",
    "faults",
    "matrix",
    "openapi",
    "simulation",
    "mutants",
    "retention",
    "local",
)
"""Folders to begin with, so that no worker is left alone with one of them at the end."""
_APART = ("chassis", "faults", "local")
"""Folders whose files share nothing that is slow to start."""


def _place(nodeid: str) -> str:
    """What shares a running service goes to one worker, and is started once."""
    _, folder, *rest = nodeid.partition("::")[0].split("/")
    return "/".join((folder, *rest)) if folder in _APART else folder


class _ByPlace(LoadScopeScheduling):
    # The library's own grouping by marks does nothing with this version of pytest.
    def _split_scope(self, nodeid: str) -> str:
        return _place(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _ByPlace(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {folder: number for number, folder in enumerate(_LONG)}
    items.sort(key=lambda item: order.get(_place(item.nodeid).split("/")[0], len(_LONG)))


def pytest_unconfigure(config: pytest.Config) -> None:
    keeper = config.stash.get(_KEEPER, None)
    if keeper is not None:
        keeper.done.set()
        keeper.join()


@pytest.fixture(scope="session")
def servers() -> SimpleNamespace:
    """Administrator URLs of PostgreSQL and RabbitMQ; fails with the reason when there is none."""
    described = Path(os.environ[_FOLDER]) / "servers.json"
    for _ in range(3000):
        if described.exists():
            found = json.loads(described.read_text())
            if "error" in found:
                pytest.fail(found["error"])
            _as_expected(found["postgres_url"])
            return SimpleNamespace(**found)
        time.sleep(0.1)
    pytest.fail("the servers did not start within five minutes")


def _as_expected(postgres_url: str) -> None:
    """A run on a version of PostgreSQL must not pass on another one."""
    if not (wanted := os.environ.get("CCIB_EXPECT_POSTGRES")):
        return

    async def version() -> str:
        connection = await asyncpg.connect(postgres_url)
        try:
            return str(await connection.fetchval("SHOW server_version"))
        finally:
            await connection.close()

    found = binaries.run(version())
    if found.split(".")[0] != wanted:
        pytest.fail(f"expected PostgreSQL {wanted}, found {found}")


@pytest.fixture(scope="session")
def mailbox() -> Iterator[Mailbox]:
    """A real SMTP server that keeps what it is given."""
    with Mailbox() as box:
        yield box
