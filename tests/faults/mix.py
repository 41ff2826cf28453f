"""Faults at random: a schedule drawn from a seed, written down before it runs, and those who inject it."""

import asyncio
import random
import subprocess
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit
from uuid import uuid4

import httpx2
import psutil

from deploy.local import processes
from deploy.local.binaries import PrivateServer
from tests.bus import BusStand
from tests.faults.history import token
from tests.faults.load import Run
from tests.faults.system import Process, Processes, ToyConsuming
from tests.faults.workers import cut
from tests.proxy import Proxy, proxying

ROLES = {"relay": 4, "consumer": 2, "writer": 2}
"""How many processes of each role run at once."""


@dataclass(frozen=True)
class Fault:
    """One entry of a schedule."""

    at: float
    """Seconds after the beginning."""
    kind: str
    target: int
    """Which of several: taken modulo how many there are."""
    lasts: float
    """Seconds, where the fault is one that lasts."""


@dataclass(frozen=True)
class Kind:
    """How often a kind comes, beside the others, and how long it lasts."""

    weight: float
    lasts: tuple[float, float] = (0, 0)


KINDS = {
    "kill relay": Kind(4),
    "kill consumer": Kind(3),
    "kill writer": Kind(2),
    "terminate": Kind(3),
    "reset": Kind(3),
    "freeze": Kind(2, (0.2, 3)),
    "latency": Kind(2, (0.5, 3)),
    "cut": Kind(3),
    "duplicates": Kind(3),
    "poison": Kind(2),
    "garbage": Kind(1),
    "full queue": Kind(1.5, (0.5, 3)),
    "clock": Kind(1.5),
    "alarm": Kind(1, (0.5, 4)),
    "database restart": Kind(0.7),
    "broker restart": Kind(0.5, (0, 2)),
}
SLOW = {"broker restart", "alarm"}
"""Kinds that take seconds by themselves: only in runs of a minute or more."""


def schedule(*, seed: int, seconds: float, kinds: Sequence[str] = ()) -> list[Fault]:
    """The faults of a run of so many seconds: the same for the same arguments, whatever the machine.

    Each kind of a run comes once before any comes again, as far as there is time.
    """
    chance = random.Random(f"{seed} {seconds:g}")
    names = [name for name in kinds or KINDS if kinds or seconds >= 60 or name not in SLOW]
    chosen = chance.sample(names, len(names))
    found, at = [], 0.5
    while at < seconds:
        name = chosen.pop() if chosen else ""
        if not name:
            name = chance.choices(names, [KINDS[one].weight for one in names])[0]
        lasts = round(chance.uniform(*KINDS[name].lasts), 2)
        found.append(Fault(round(at, 2), name, chance.randrange(12), lasts))
        at += chance.uniform(0.2, 1.8)
    return found


@dataclass
class Broker:
    """A broker that only this run uses."""

    server: PrivateServer
    amqp_url: str
    management_url: str

    async def start(self) -> None:
        self.server.start()  # here: the death signal belongs to this thread
        await asyncio.to_thread(self.server.wait)

    async def stop(self, *, kill: bool) -> None:
        if kill:
            self.server.kill()
        else:
            self.server.ask_to_stop()
            await asyncio.to_thread(self.server.stop)

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


@dataclass
class Slot:
    """The place of one process, which is filled again whenever it becomes empty."""

    role: str
    clock: float = 0
    process: Process | None = None
    started: asyncio.Event = field(default_factory=asyncio.Event)
    keeping: "asyncio.Task[None] | None" = None

    async def keep(self, system: Processes) -> None:
        while True:
            async with system.start(self.role, clock=self.clock) as self.process:
                self.started.set()
                await self.process.wait()
                self.started.clear()

    async def end(self, *, kill: bool) -> None:
        """Kill or ask to end, and wait for the next one."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        process.kill() if kill else process.terminate()
        await process.wait()
        await asyncio.wait_for(self.started.wait(), 60)


@dataclass
class World:
    """A stand at work, and everything that can be done to it."""

    bus: BusStand
    run: Run
    slots: dict[str, list[Slot]]
    proxies: list[Proxy]
    broker: Broker | None = None
    database: PrivateServer | None = None
    turns: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """Two faults of one thing come one after the other; of different things, at once."""

    async def leave(self, *roles: str) -> None:
        """End the processes of these roles for good; raises what one of them ended with."""
        tasks = [slot.keeping for role in roles for slot in self.slots[role] if slot.keeping]
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    async def inject(self, fault: Fault) -> None:
        """Do it, wait while it lasts, and put it right."""
        how: dict[str, tuple[str, Callable[[Fault], Awaitable[None]]]] = {
            "reset": ("network", self._reset),
            "freeze": ("network", self._freeze),
            "latency": ("network", self._latency),
            "cut": ("connections", self._cut),
            "duplicates": ("messages", self._duplicates),
            "poison": ("messages", self._poison),
            "garbage": ("messages", self._garbage),
            "full queue": ("broker", self._full_queue),
            "alarm": ("broker", self._alarm),
            "broker restart": ("broker", self._broker_restart),
            "database restart": ("database", self._database_restart),
        }
        what, do = how.get(fault.kind, ("processes", self._process))
        async with self.turns[what]:
            with self.run.fault(fault.kind, str(fault.target)):
                await do(fault)

    async def _process(self, fault: Fault) -> None:
        all_of_them = [slot for slots in self.slots.values() for slot in slots]
        _, _, role = fault.kind.partition(" ")
        among = self.slots[role] if role else all_of_them
        slot = among[fault.target % len(among)]
        if fault.kind == "clock":
            slot.clock = 600 if fault.target % 2 else -600
        await slot.end(kill=fault.kind.startswith("kill"))

    async def _reset(self, fault: Fault) -> None:
        self.proxies[fault.target % len(self.proxies)].reset()

    async def _freeze(self, fault: Fault) -> None:
        proxy = self.proxies[fault.target % len(self.proxies)]
        proxy.flowing.clear()
        await asyncio.sleep(fault.lasts)
        proxy.flowing.set()

    async def _latency(self, fault: Fault) -> None:
        proxy = self.proxies[fault.target % len(self.proxies)]
        proxy.delay = 0.2
        await asyncio.sleep(fault.lasts)
        proxy.delay = 0

    async def _cut(self, fault: Fault) -> None:
        await _until_it_works(lambda: cut(self.bus, "ccib-%"))

    async def _duplicates(self, fault: Fault) -> None:
        consuming = self.run.consuming
        assert isinstance(consuming, ToyConsuming)
        for body in list(consuming.bodies[-20:]):
            await _until_it_works(lambda body=body: self.bus.send(body, times=2))

    async def _poison(self, fault: Fault) -> None:
        """An event that fails, or kills, for a second or two: it must have its effect all the same."""
        note = f"{'kill' if fault.target % 4 == 0 else 'fail'}@{time.time() + 1.5}"
        await _until_it_works(lambda: self.run.commit(uuid4(), note=note))

    async def _garbage(self, fault: Fault) -> None:
        body = b"\xff no event " + uuid4().bytes
        self.run.history.note("garbage", token=token(body))
        await _until_it_works(lambda: self.bus.send(body))

    async def _full_queue(self, fault: Fault) -> None:
        policy = {"pattern": "^beta.events$", "definition": {"max-length": 1}, "apply-to": "queues"}
        path = f"/api/policies/{self.bus.vhost}/full"
        async with self.bus.management() as client:
            await _until_it_works(lambda: _answered(client.put(path, json=policy)))
            await asyncio.sleep(fault.lasts)
            await _until_it_works(lambda: _answered(client.delete(path)))

    async def _alarm(self, fault: Fault) -> None:
        assert self.broker
        high, low = (
            (["set_disk_free_limit", "900GB"], ["set_disk_free_limit", "50MB"])
            if fault.target % 2
            else (
                ["set_vm_memory_high_watermark", "absolute", "1MB"],
                ["set_vm_memory_high_watermark", "0.4"],
            )
        )
        await self.broker.control(*high)
        await asyncio.sleep(fault.lasts)
        await self.broker.control(*low)

    async def _broker_restart(self, fault: Fault) -> None:
        assert self.broker
        await self.broker.stop(kill=bool(fault.target % 2))
        await asyncio.sleep(fault.lasts)
        await self.broker.start()

    async def _database_restart(self, fault: Fault) -> None:
        assert self.database
        if fault.target % 2:
            self.database.kill()
            # Its children notice a postmaster that was killed, and end; until then it cannot start.
            await asyncio.sleep(0.5)
        else:
            self.database.ask_to_stop()
            await asyncio.to_thread(self.database.stop)
        self.database.start()
        await asyncio.to_thread(self.database.wait)


async def _answered(asking: Awaitable[httpx2.Response]) -> None:
    (await asking).raise_for_status()


async def _until_it_works(act: Callable[[], Awaitable[object]], *, seconds: float = 60) -> None:
    """The suite's own hand reaches a server that may be away just then.

    An act that is done twice is no harm: a duplicate, or the same policy.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            await asyncio.wait_for(act(), 10)
            return
        except Exception:
            if time.monotonic() > end:
                raise
        await asyncio.sleep(0.2)


@asynccontextmanager
async def world(
    bus: BusStand,
    run: Run,
    system: Callable[[], Processes],
    *,
    broker: Broker | None = None,
    database: PrivateServer | None = None,
) -> AsyncIterator[World]:
    """The system at work behind proxies: relays, consumers and writers, each a process."""
    async with AsyncExitStack() as stack:
        to_broker = await stack.enter_async_context(proxying(bus.broker))
        to_database = await stack.enter_async_context(proxying(bus.database_url))
        direct = bus.broker, bus.database_url
        parts = urlsplit(bus.database_url)
        there = f"{parts.username}:{parts.password}@127.0.0.1:{to_database.port}"
        bus.broker = f"127.0.0.1:{to_broker.port}"
        bus.database_url = parts._replace(netloc=there).geturl()
        processes_ = system()  # learns the way through the proxies
        bus.broker, bus.database_url = direct
        slots = {role: [Slot(role) for _ in range(count)] for role, count in ROLES.items()}
        every = [slot for some in slots.values() for slot in some]
        for slot in every:
            slot.keeping = asyncio.create_task(slot.keep(processes_))
        made = World(bus, run, slots, [to_broker, to_database], broker, database)
        try:
            for slot in every:
                await asyncio.wait_for(slot.started.wait(), 60)
            yield made
        finally:
            for proxy in made.proxies:
                proxy.mend()
            await made.leave(*slots)


async def play(made: World, plan: Sequence[Fault]) -> None:
    """Inject each fault at its time; afterwards nothing is wrong any more, and nobody writes."""
    begun = time.monotonic()
    injecting = []
    for fault in plan:
        await asyncio.sleep(max(0, fault.at - (time.monotonic() - begun)))
        injecting.append(asyncio.create_task(made.inject(fault)))
    await asyncio.gather(*injecting)
    for slots in made.slots.values():
        for slot in slots:
            if slot.clock:
                slot.clock = 0
                await slot.end(kill=False)
    await made.leave("writer")


def written(plan: Sequence[Fault]) -> list[dict[str, object]]:
    """A schedule as the history keeps it."""
    return [asdict(one) for one in plan]
