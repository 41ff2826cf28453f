"""Servers of our own that stop, die and raise alarms under load; then everything, at random."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from uuid import uuid4

import pytest

from deploy.local import binaries, private_postgres, private_rabbitmq
from deploy.local.binaries import PrivateServer
from tests.bus import BusStand, bus_standing
from tests.faults import mix
from tests.faults.load import Run
from tests.faults.mix import Broker, schedule
from tests.faults.recovery import recoveries
from tests.faults.system import ToyProcesses

ASKED = "CCIB_FAULT_SECONDS" in os.environ
SECONDS = float(os.environ.get("CCIB_FAULT_SECONDS", "12"))
SEED = int(os.environ.get("CCIB_FAULT_SEED", "20261123"))


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("broker")
    (folder / "logs").mkdir()
    server, amqp_url, management_url, _ = private_rabbitmq.server(
        directory=folder, folder=binaries.place(folder), durable=True
    )
    server.start()
    try:
        server.wait()
        yield Broker(server, amqp_url, management_url)
    finally:
        server.kill()  # its data have served
        server.stop()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PrivateServer, str]]:
    folder = tmp_path_factory.mktemp("database")
    (folder / "logs").mkdir()
    server, url, _ = private_postgres.server(
        directory=folder, folder=binaries.place(folder), durable=True
    )
    server.start()
    try:
        server.wait()
        yield server, url
    finally:
        server.stop()


@pytest.fixture
async def bus(broker: Broker, database: tuple[PrivateServer, str]) -> AsyncIterator[BusStand]:
    """A stand whose servers nobody else uses."""
    found = SimpleNamespace(
        postgres_url=database[1], amqp_url=broker.amqp_url, management_url=broker.management_url
    )
    async with bus_standing(found) as stand:
        yield stand


# The journeys stop and kill it under less traffic. A queue that RabbitMQ 3.10 leaves without a leader is
# given one by `deploy.local.private_rabbitmq`.
@pytest.mark.long
@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_broker_that_goes_and_comes_back_loses_nothing(
    bus: BusStand, run: Run, broker: Broker, how: str
) -> None:
    running = [bus.relay(), bus.consumer(), bus.retries()]
    async with run.load():
        await bus.until("SELECT count(*) > 50 FROM inbox")
        with run.fault("broker restart", how):
            await broker.stop(kill=how == "kill")
            await broker.start()
    await run.holds()
    assert await bus.value("SELECT max(attempts) FROM inbox") == 0  # nothing was taken for failed
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
    bus: BusStand,
    run: Run,
    broker: Broker,
    on: tuple[str, ...],
    off: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chassis.bus.Publisher.publish.__defaults__", (1,))
    relay, consumer = bus.relay(), None
    async with run.load(pause=0.05):
        await bus.drained()
        with run.fault("alarm", on[0]):
            await broker.control(*on)
            waiting = await bus.waiting("beta.events")
            consumer = bus.consumer()  # consuming goes on
            await bus.until("SELECT count(*) >= $1 FROM inbox", waiting)
            await bus.until("SELECT count(*) > 50 FROM outbox")
            await asyncio.sleep(2)  # longer than a publish may take
            assert await bus.value("SELECT count(*) > 50 FROM outbox")
            await broker.control(*off)
    await run.holds()
    for one in (relay, consumer):
        await one.end()


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_database_server_that_goes_and_comes_back_loses_nothing(
    bus: BusStand, run: Run, database: tuple[PrivateServer, str], broker: Broker, how: str
) -> None:
    """Writers are processes here: one that is told nothing does not know whether it committed."""
    system = lambda: ToyProcesses(bus, run.history, [uuid4() for _ in range(10)])  # noqa: E731
    async with mix.world(bus, run, system, broker=broker, database=database[0]) as made:
        await bus.until("SELECT count(*) > 50 FROM inbox")
        await made.inject(mix.Fault(0, "database restart", how == "kill", 0))
        seen = await bus.value("SELECT count(*) FROM inbox")
        await bus.until("SELECT count(*) > $1 FROM inbox", seen + 50)
        await made.leave("writer")
        await run.holds()


@pytest.mark.timeout(SECONDS * 2 + 240)
async def test_a_history_of_random_faults_adds_up(
    bus: BusStand, run: Run, broker: Broker, database: tuple[PrivateServer, str]
) -> None:
    plan = schedule(seed=SEED, seconds=SECONDS)
    run.replay = (
        f"seed {SEED}; the same schedule again: make faults SECONDS={SECONDS:g} SEED={SEED}"
    )
    run.bound = 60
    run.history.note("schedule", seed=SEED, seconds=SECONDS, faults=mix.written(plan))
    system = lambda: ToyProcesses(bus, run.history, [uuid4() for _ in range(20)])  # noqa: E731
    try:
        async with mix.world(bus, run, system, broker=broker, database=database[0]) as made:
            await mix.play(made, plan)
            await run.holds()
    except BaseException:
        print(f"{run.replay}; its history: {run.history.path}")
        raise


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_the_rate_is_back_within_ten_seconds_of_the_end_of_each_fault(
    bus: BusStand, run: Run, broker: Broker, database: tuple[PrivateServer, str]
) -> None:
    system = lambda: ToyProcesses(bus, run.history, [uuid4() for _ in range(20)])  # noqa: E731
    found = await recoveries(bus, run, system, broker=broker, database=database[0])
    for one in found:
        print(f"{one.fault:20} {one.before:6.0f}/s {one.after:6.0f}/s after {one.seconds:.1f} s")
    assert all(one.before > 20 for one in found), found
    assert all(one.seconds < 10 for one in found), found
