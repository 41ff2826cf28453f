"""A broker of our own that stops, dies and raises alarms, under load."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import psutil
import pytest

from deploy.local import binaries, processes
from deploy.local.binaries import PrivateServer
from tests.bus import BusStand, bus_standing
from tests.faults.load import loaded


@dataclass
class Broker:
    server: PrivateServer
    amqp_url: str
    management_url: str

    async def start(self) -> None:
        self.server.start()  # here: the death signal belongs to this thread
        await asyncio.to_thread(self.server.wait)

    async def control(self, *words: str) -> None:
        """`rabbitmqctl`, as the user and with the environment of the node."""
        environment = psutil.Process(self.server.pid).environ()
        await asyncio.to_thread(
            subprocess.run,
            ["setpriv", *processes.drop_rights(), "/usr/lib/rabbitmq/bin/rabbitmqctl", *words],
            env=environment,
            check=True,
            capture_output=True,
        )


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("broker")
    (folder / "logs").mkdir()
    server, amqp_url, management_url, _ = binaries.rabbitmq(
        directory=folder, folder=binaries.place(folder), durable=True
    )
    server.start()
    try:
        server.wait()
        yield Broker(server, amqp_url, management_url)
    finally:
        server.stop()


@pytest.fixture
async def own(broker: Broker, servers: SimpleNamespace) -> AsyncIterator[BusStand]:
    """A stand whose broker nobody else uses."""
    found = SimpleNamespace(
        postgres_url=servers.postgres_url,
        amqp_url=broker.amqp_url,
        management_url=broker.management_url,
    )
    async with bus_standing(found) as stand:
        yield stand


@pytest.mark.parametrize("how", [pytest.param("stop", marks=pytest.mark.long), "kill"])
async def test_a_broker_that_goes_and_comes_back_loses_nothing(
    own: BusStand, broker: Broker, how: str
) -> None:
    running = [own.relay(), own.consumer(), own.retries()]
    async with loaded(own) as load:
        await own.until("SELECT count(*) > 50 FROM inbox")
        if how == "kill":
            broker.server.kill()
        else:
            broker.server.ask_to_stop()
            await asyncio.to_thread(broker.server.stop)
        await asyncio.sleep(1)
        await broker.start()
    await load.arrived(seconds=15)
    for one in running:
        await one.end()


@pytest.mark.parametrize(
    ("on", "off"),
    [
        pytest.param(
            ("set_vm_memory_high_watermark", "absolute", "1MB"),
            ("set_vm_memory_high_watermark", "0.4"),
            marks=pytest.mark.long,
        ),
        (("set_disk_free_limit", "900GB"), ("set_disk_free_limit", "50MB")),
    ],
    ids=["memory", "disk"],
)
async def test_an_alarm_stops_publishing_and_nothing_else(
    own: BusStand, broker: Broker, on: tuple[str, ...], off: tuple[str, ...]
) -> None:
    running = [own.relay(), own.consumer()]
    async with loaded(own, pause=0.1) as load:
        await own.until("SELECT count(*) > 20 FROM inbox")
        await broker.control(*on)
        await asyncio.sleep(12)  # longer than a publish may take
        assert await own.value("SELECT count(*) > 50 FROM outbox")
        await broker.control(*off)
    await load.arrived(seconds=15)
    for one in running:
        await one.end()
