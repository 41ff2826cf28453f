"""One run under the eyes of the oracle: a steady load, the faults, the end, the verdict."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

from deploy.local.layout import REPOSITORY
from tests.bus import BusStand
from tests.faults.checker import check
from tests.faults.history import History
from tests.faults.system import Consuming, Publishing, ToyConsuming, ToyPublishing

FOLDER = REPOSITORY / ".local" / "faults"


@dataclass
class Run:
    """A run that is being recorded."""

    publishing: Publishing
    consuming: Consuming
    consumers: Sequence[str]
    history: History
    bound: float
    """Seconds within which everything must have had its effect once the faults are over."""
    replay: str = ""
    """What to do to see the same again."""
    told: Callable[[Sequence[str], float], None] = lambda injected, seconds: None
    """Called with the faults that were injected and the seconds it took to settle."""
    _numbers: dict[UUID, int] = field(default_factory=dict)

    async def commit(self, *things: UUID, note: str | None = None) -> list[str]:
        """One transaction with the next event of each of these things; returns their names."""
        events = [(thing, self.number(thing)) for thing in things]
        ops = [f"{thing}/{number}" for thing, number in events]
        with self.history.commit(*ops):
            await self.publishing.commit(*events, note=note)
        return ops

    def number(self, thing: UUID) -> int:
        """A number for the next event of this thing."""
        self._numbers[thing] = self._numbers.get(thing, -1) + 1
        return self._numbers[thing]

    @asynccontextmanager
    async def load(self, *, pause: float = 0.02, things: int = 10) -> AsyncIterator[list[UUID]]:
        """During the block, commit an event of each thing and pause, again and again."""
        names, enough = [uuid4() for _ in range(things)], asyncio.Event()

        async def write() -> None:
            while not enough.is_set():
                for thing in names:
                    await self.commit(thing)
                await asyncio.sleep(pause)

        task = asyncio.create_task(write())
        try:
            yield names
        finally:
            enough.set()
            await task

    @contextmanager
    def fault(self, kind: str, target: str = "") -> Iterator[None]:
        """A fault that lasts as long as the block."""
        with self.history.fault(kind, target):
            yield

    async def holds(self) -> float:
        """The end of a run: wait until all is settled, then judge; returns the seconds it took.

        Raises `AssertionError` with every violation, and where the history lies.
        """
        begun = time.monotonic()
        while not await self.consuming.settled() and time.monotonic() - begun < self.bound:
            await asyncio.sleep(0.05)
        seconds = time.monotonic() - begun
        if await self.consuming.settled():
            self.history.note("settled", seconds=round(seconds, 3))
            await self._tap_is_empty()
        await self._write_down()
        trouble = check(self.history.path)
        assert not trouble, "\n".join(
            [*trouble, f"the history: {self.history.path}", *([self.replay] if self.replay else [])]
        )
        self.told(self.history.injected, seconds)
        return seconds

    async def _tap_is_empty(self) -> None:
        """The tap may still be on its way to what took effect already; it gets 10 seconds."""
        expected = len(await self.publishing.committed())
        for _ in range(200):
            if self.history.delivered >= expected:
                return
            await asyncio.sleep(0.05)

    async def _write_down(self) -> None:
        """What the system itself knows at the end."""
        for one in await self.publishing.committed():
            self.history.note("committed", **vars(one))
        for event in await self.publishing.published():
            self.history.note("published", event=event)
        for event, at in await self.consuming.effects():
            self.history.note("effect", at=at, consumer=self.consumers[0], event=event)
        for token in await self.consuming.dead():
            self.history.note("dead", token=token)


@asynccontextmanager
async def recorded(bus: BusStand, *, name: str, bound: float, **plan: object) -> AsyncIterator[Run]:
    """A run on a stand of the toy services; its history lies in `.local/faults`."""
    path = FOLDER / f"{name}.jsonl"
    path.unlink(missing_ok=True)
    history = History(path)
    publishing, consuming = ToyPublishing(bus), ToyConsuming(bus)
    consumers = ToyConsuming.consumers
    history.note("plan", consumers=consumers, bound=bound, **plan)
    await publishing.watch()
    try:
        async with consuming.tapped(history):
            yield Run(publishing, consuming, consumers, history, bound)
    finally:
        history.close()


def name_of(nodeid: str) -> Path:
    """A file name for the history of a test."""
    name = nodeid.rpartition("/")[2]
    return Path("".join(one if one.isalnum() or one in "._-" else "-" for one in name))
