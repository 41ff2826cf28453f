"""One platform for all schedules, in a loop of its own: a state machine is not asynchronous."""

import asyncio
import gc
import logging
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from types import SimpleNamespace

import pytest
import uvloop

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
    with _sparing(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
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


@contextmanager
def _sparing() -> Iterator[None]:
    """No log of what goes well, and no looking through all memory again and again."""
    usual = gc.get_threshold()
    logging.disable(logging.WARNING)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()
        logging.disable(logging.NOTSET)


async def _settle(world: World) -> None:
    """Everybody knows everybody, and somebody lives there who will ask for nothing."""
    Schedules.community = await people.an_open_community(world)
    Schedules.bystander = person = await people.signs_up(world)
    machine = Schedules.__new__(Schedules)
    machine.people = []
    # Who has joined would be told of everything that others publish.
    for acts in (("profile", "company", "join", "consent"), ("refuse",)):
        for what in acts:
            await people.acts(world, person, what, community=Schedules.community)
        await machine._drain()
    Schedules.likeness = {name: await people.portrait(world, name, person) for name in SERVICES}
