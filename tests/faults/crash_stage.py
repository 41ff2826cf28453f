"""A stage: one service whose process dies at label after label, and what must be true afterwards."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx2

from chassis.catalogue import KEY, Fate, Subject
from chassis.evidence import digest, verify
from contracts.privacy import Erase, ErasureAcknowledged
from deploy.local.processes import free_ports
from tests import rows
from tests.faults.erasure_workers import Participant

REACHED_S = 25
"""A process that has not come to its label by then never will: no scenario reaches it."""
BOUND_S = 15
"""After a restart everything has converged within so many seconds."""

Act = Callable[[], Awaitable[Any]]
Ask = Callable[[httpx2.AsyncClient], Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class Step:
    """How a process is brought to a label."""

    before: Act | None = None
    """Makes the work that leads there, before the process starts."""
    ask: Ask | None = None
    """A request that leads there: then it is the process of the HTTP door that dies."""
    passage: int = 1
    after: Act | None = None
    """What time does, or an operator, between the death and the next start."""


START = Step()
"""Every process passes it when it starts."""


class Unreached(AssertionError):
    """A label that the scenario did not lead to."""


@dataclass(kw_only=True)
class Stage:
    """One service; its HTTP door stands in the test, its processes are started and die."""

    place: Participant
    steps: Mapping[str, Step]
    people: list[tuple[Erase, rows.Filling]] = field(default_factory=list)
    """Who was to be erased, under which command, and what was written about them before."""
    settled: Callable[[], Awaitable[object]] | None = None
    """Beside the outbox and the queues: falsy, or what is still to be done."""
    later: Act | None = None
    """What time does before the last process starts."""
    more: Callable[..., Awaitable[None]] | None = None
    """What must be true in this service alone; told how many `deaths` a mail may have seen."""
    deaths: int = 1
    """How many processes may die over the same mail."""

    @property
    def name(self) -> str:
        return self.place.stand.runtime.service.name

    async def die(self, label: str) -> None:
        """Start a process and let it die there; raises `Unreached`."""
        step = self.steps[label]
        if step.before:
            await step.before()
        crash_at = f"{label}:{step.passage}"
        if step.ask is None:
            async with self.place.worker(crash_at=crash_at) as process:
                await self._death(process, label)
        else:
            [port] = free_ports(1)
            module = f"services.{self.name}.main:create_app"
            command = ("uvicorn", "--factory", module, "--port", str(port))
            async with self.place.process(*command, crash_at=crash_at) as process:
                asking = asyncio.create_task(self._ask(port, step.ask))
                await self._death(process, label)
                await asking
        if step.after:
            await step.after()

    async def _death(self, process: Any, label: str) -> None:
        try:
            await self.place.dies(process, seconds=REACHED_S)
        except TimeoutError:
            raise Unreached(f"no scenario of {self.name} reaches {label}") from None

    async def _ask(self, port: int, ask: Ask) -> None:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            while True:
                try:
                    if (await client.get("/health/ready")).status_code == 200:
                        break
                except httpx2.HTTPError:
                    pass
                await asyncio.sleep(0.02)
            try:
                await ask(client)
            except httpx2.HTTPError:
                pass  # it died over the answer

    async def converge(self) -> float:
        """Start a process that lives, until nothing is left to do; returns the seconds it took."""
        if self.later:
            await self.later()
        begun = time.monotonic()
        again: object = True
        while again:
            # Told to stop, it ends or gives back what it holds: that nobody counts while it has it.
            async with self.place.worker() as process:
                while left := await self._left():
                    if time.monotonic() - begun > BOUND_S:
                        log = (self.place.folder / "process.log").read_text()[-3000:]
                        raise AssertionError(f"{self.name}, after {BOUND_S} s: {left}\n{log}")
                    await asyncio.sleep(0.05)
                process.terminate()
                await asyncio.wait_for(process.wait(), BOUND_S)
            again = await self._left()
        return time.monotonic() - begun

    async def _left(self) -> str:
        stand = self.place.stand
        [row] = await stand.rows(
            "SELECT (SELECT count(*) FROM outbox WHERE blocked_until IS DISTINCT FROM 'infinity')"
            " AS outbox, (SELECT count(*) FROM inbox WHERE state = 'waiting') AS waiting"
        )
        if any(row):
            return str(dict(row))
        for queue in await self._queues():
            if count := await self.waiting(queue):
                return f"{count} in {queue}"
        for command, _ in self.people:
            if not stand.heard_count(ErasureAcknowledged, position=command.position):
                return f"no acknowledgement of position {command.position}"
        return str((await self.settled() if self.settled else "") or "")

    async def _queues(self) -> list[str]:
        wired = self.place.stand.runtime.service
        return [
            f"{self.name}.erasure",
            *([f"{self.name}.events"] if wired.handlers else []),
            *([f"{self.name}.acks"] if wired.answers else []),
        ]

    async def waiting(self, queue: str) -> int:
        """Messages that are ready in a queue."""
        declared = await self.place.stand.channel.declare_queue(
            queue,
            passive=True,
            robust=False,  # else the first answer is given for ever
        )
        return int(declared.declaration_result.message_count or 0)

    # --- what leads to labels, in any service

    async def erase_somebody(self) -> None:
        """Somebody with rows and files everywhere is to be erased: the bus brings the command."""
        stand, person = self.place.stand, uuid4()
        async with stand.runtime.db.engine.begin() as connection:
            filling = await rows.fill(connection, stand.runtime.service.catalogue, person)
        for key in filling.files:
            await stand.runtime.storage.put(key, b"portrait")
        command, sealed = stand.entry(person)
        await stand.broadcast(command)
        self.people.append((command, filling))
        self._sealed = command.position, sealed

    async def write_copy(self) -> None:
        """Now the ledger copy has the entry, too, so that the next process finds it at its start."""
        await self.place.stand.runtime.ledger.append(*self._sealed)

    # --- what must be true

    async def holds(self) -> None:
        """Nothing lost, nothing twice, evidence true. Call it once the stage has converged."""
        stand = self.place.stand
        for _ in range(100):  # what is on its way to this process is heard in a moment
            try:
                await everything_was_said(stand)
                break
            except AssertionError:
                await asyncio.sleep(0.05)
        await everything_was_said(stand)
        for command, filling in self.people:
            await self._was_erased_once(command, filling)
        [dead] = await stand.rows("SELECT count(*) FROM inbox WHERE state = 'dead'")
        assert dead["count"] == 0
        if self.more:
            await self.more(deaths=self.deaths)

    async def _was_erased_once(self, command: Erase, filling: rows.Filling) -> None:
        stand = self.place.stand
        catalogue = stand.runtime.service.catalogue
        said = [
            one["data"]
            for one in stand.heard
            if one["type"] == ErasureAcknowledged.event_type()
            and one["data"]["position"] == command.position
        ]
        assert said
        same = {digest({k: v for k, v in one.items() if k != "signature"}) for one in said}
        assert len(same) == 1, f"position {command.position} was acknowledged in several ways"
        for one in said:
            unsigned = {k: v for k, v in one.items() if k != "signature"}
            verify(unsigned, one["signature"], stand.runtime.eraser.key)
        applied = await stand.rows("SELECT FROM applied WHERE position = $1", command.position)
        assert len(applied) == 1
        [evidence] = said[0]["subjects"]
        assert evidence["erasure_id"] == str(command.subjects[0].erasure_id)
        told = {
            name: (table["deleted"] + table["detached"], sum(k["rows"] for k in table["kept"]))
            for name, table in evidence["tables"].items()
        }
        expected = written(catalogue.metadata.tables.values(), filling)
        wrong = {name: (told.get(name), counts) for name, counts in expected.items()}
        wrong = {name: both for name, both in wrong.items() if both[0] != both[1]}
        assert not wrong, f"position {command.position}, told and written: {wrong}"
        async with stand.runtime.db.engine.connect() as connection:
            everything = await rows.everything(connection)
        assert not [where for token, where in filling.tokens.items() if token in everything]
        assert not [key for key in filling.files if await stand.runtime.storage.get(key)]


def written(tables: Iterable[Any], filling: rows.Filling) -> dict[str, tuple[int, int]]:
    """By table that names people: how many rows of the person must fall, and how many are kept."""
    counts: dict[str, tuple[int, int]] = {}
    for table in tables:
        named = {c.name: c.info[KEY] for c in table.columns if isinstance(c.info[KEY], Subject)}
        if not named or table.name == "data_subject":
            continue
        fall = keep = 0
        for row in filling.rows.get(table.name, ()):
            fates = {d.fate for name, d in named.items() if row.get(name) == filling.person}
            fall += bool(fates - {Fate.KEEP})
            keep += fates == {Fate.KEEP}
        counts[table.name] = fall, keep
    return counts


async def everything_was_said(stand: Any) -> None:
    """Each event that was committed was heard: per aggregate 1, 2, 3…, first in order, one id each."""
    service = stand.runtime.service.name
    counted = {
        row["aggregate"]: row["last"]
        for row in await stand.rows("SELECT aggregate, last FROM aggregate_sequence")
        if row["aggregate"] not in ("epoch", "incarnation")
    }
    heard: dict[str, dict[int, str]] = defaultdict(dict)
    for one in stand.heard:
        if one.get("source") == f"/services/{service}" and "sequence" in one:
            first = heard[one["subject"]].setdefault(one["sequence"], one["id"])
            assert first == one["id"], f"two events with sequence {one['sequence']}"
    for aggregate, last in counted.items():
        sequences = list(heard[aggregate])
        assert sequences == sorted(sequences), f"{aggregate}: {sequences}"
        assert sequences[-1:] == [last], f"{aggregate}: {last} was committed, heard {sequences}"
        of_an_epoch = [one for one in sequences if one < 1 << 40]
        assert of_an_epoch == list(range(1, len(of_an_epoch) + 1)), f"{aggregate}: {sequences}"
    assert set(heard) <= set(counted), "somebody heard what nobody committed"
