"""One platform for all schedules, in a loop of its own: a state machine is not asynchronous."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from types import SimpleNamespace

import pytest

from chassis import clock
from tests.simulation import people
from tests.simulation.machine import SERVICES, Schedules
from tests.simulation.platform import platform
from tests.simulation.world import World


@pytest.fixture(scope="package")
def schedules(
    servers: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[type[Schedules]]:
    """The machine, on a platform that is up."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        Schedules.runner = runner
        try:
            Schedules.world = runner.run(
                stack.enter_async_context(
                    platform(servers=servers, folder=tmp_path_factory.mktemp("simulation"))
                )
            )
            runner.run(_settle(Schedules.world))
            yield Schedules
        finally:
            runner.run(stack.aclose())
            clock.rehearse(clock.rehearsed() * 0)


async def _settle(world: World) -> None:
    """Everybody knows everybody, and somebody lives there who will ask for nothing."""
    Schedules.community = await people.an_open_community(world)
    Schedules.bystander = person = await people.signs_up(world)
    for what in ("profile", "company", "join", "consent"):
        await people.acts(world, person, what, community=Schedules.community)
    machine = Schedules.__new__(Schedules)
    machine.people = []
    await machine._drain()
    Schedules.likeness = {name: await people.portrait(world, name, person) for name in SERVICES}
