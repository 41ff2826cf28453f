"""How soon the bus is back at its full rate after a fault, on servers that may be stopped."""

from collections.abc import Sequence
from contextlib import ExitStack
from types import SimpleNamespace
from uuid import uuid4

from bench.figures import Figure, Goal, Ground, Measure
from deploy.local import binaries, private_postgres, private_rabbitmq
from tests.bus import bus_standing
from tests.faults.load import recorded
from tests.faults.mix import Broker
from tests.faults.recovery import INTERRUPTING, recoveries
from tests.faults.system import ToyProcesses


async def after_faults(ground: Ground) -> Sequence[Figure]:
    """Each fault once, alone, into a steady load; the oracle judges what became of every event."""
    kinds = INTERRUPTING[:2] if ground.quick else INTERRUPTING
    folder = ground.folder / "recovery"
    (folder / "logs").mkdir(parents=True)
    place = binaries.place(folder)
    broker, amqp_url, management_url, _ = private_rabbitmq.server(
        directory=folder, folder=place, durable=True
    )
    database, postgres_url, _ = private_postgres.server(
        directory=folder, folder=place, durable=True
    )
    with ExitStack() as servers:
        for server in (broker, database):
            servers.callback(server.stop)
            server.start()
        for server in (broker, database):
            server.wait()
        found = SimpleNamespace(
            postgres_url=postgres_url, amqp_url=amqp_url, management_url=management_url
        )
        async with (
            bus_standing(found) as bus,
            recorded(bus, name="bench-recovery", bound=60) as run,
        ):
            things = [uuid4() for _ in range(20)]
            results = await recoveries(
                bus,
                run,
                lambda: ToyProcesses(bus, run.history, things),
                broker=Broker(broker, amqp_url, management_url),
                database=database,
                kinds=kinds,
            )
    longest = max(results, key=lambda one: one.seconds)
    return [
        Figure(
            name="back at full rate after a fault, the slowest",
            unit="s",
            measured=longest.seconds,
            goal=Goal(of="measured", at_most=10),
            rounds={one.fault: [one.seconds] for one in results},
            details={"slowest": longest.fault, "faults": [vars(one) for one in results]},
        )
    ]


FIGURES: Sequence[Measure] = (after_faults,)
