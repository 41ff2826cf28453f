"""Faults at random, from a seed: whatever comes together, the history must add up."""

import asyncio
import os
import random
from contextlib import AsyncExitStack

import pytest

from tests.bus import BusStand
from tests.faults.load import loaded
from tests.proxy import Proxy, proxying
from tests.faults.workers import cut, terminate, worker

SECONDS = float(os.environ.get("CCIB_MIX_SECONDS", "20"))
SEEDS = [int(seed) for seed in os.environ.get("CCIB_MIX_SEEDS", "20261123").split(",")]


async def freeze(proxy: Proxy, seconds: float) -> None:
    proxy.flowing.clear()
    await asyncio.sleep(seconds)
    proxy.flowing.set()


@pytest.mark.timeout(SECONDS + 180)
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_history_of_random_faults_adds_up(bus: BusStand, seed: int) -> None:
    chance = random.Random(seed)
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(proxying(bus.broker))
        direct, bus.broker = bus.broker, f"127.0.0.1:{proxy.port}"
        loops = ("relay", "consumer", "retries")
        workers = [await stack.enter_async_context(worker(bus, *loops)) for _ in range(2)]
        behind = bus.environment
        bus.broker = direct
        loop = asyncio.get_running_loop()
        end = loop.time() + SECONDS
        async with loaded(bus, pause=0.05) as load:
            while loop.time() < end:
                match chance.choice(["kill", "terminate", "reset", "freeze", "slow", "cut"]):
                    case "kill" | "terminate" as how:
                        gone = workers.pop(chance.randrange(2))
                        if how == "kill" and gone.returncode is None:
                            gone.kill()
                        else:
                            await terminate(gone)
                        again = worker(bus, *loops, more=behind)
                        workers.append(await stack.enter_async_context(again))
                    case "reset":
                        proxy.reset()
                    case "freeze":
                        await freeze(proxy, chance.uniform(0.2, 2))
                    case "slow":
                        proxy.delay = chance.choice([0, 0.02, 0.1])
                    case "cut":
                        await cut(bus, "ccib-%")  # but not what writes the load
                await asyncio.sleep(chance.uniform(0, 1))
        proxy.delay = 0
        await load.arrived(seconds=60)
