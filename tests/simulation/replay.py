"""Walks of the model done to the real services, move by move; after each the two are compared.

A message is relayed when the model delivers it, and found by what it is about. What the model leaves
out (who opened an account, who reads which newsletter) is delivered before the walk begins, or stays
under way until its end.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from contracts.privacy import Reason
from services.privacy.actions import broadcasts
from services.privacy.jobs import erasures
from tests.simulation import people
from tests.simulation.bus import Message
from tests.simulation.machine import SERVICES, Schedules
from tests.simulation.model import step
from tests.simulation.moves import moves
from tests.simulation.state import PARTNER, PRIVACY, Move, Scope, World, begin

REPLAYED = Scope(writes=2, replicas=1, comings=0, crashes=2, repeats=3, restores=0, lies=0)
"""Restores are left to the state machine: copying a database takes longer than a walk."""

_LEFT_OUT = {"overdue", "notice"}
"""The real gate takes all overdue positions at once."""


@dataclass
class Replay:
    """The real platform, following a walk of the model."""

    machine: Schedules
    communities: list[str]
    first: int
    """The real position of the model's first."""
    facts: dict[int, str] = field(default_factory=dict)
    """By the number of the model's fact: the community that was joined."""
    past: dict[str, list[Message]] = field(default_factory=dict)
    """What each queue has had: a relay that died before its mark publishes it again."""

    async def follow(self, model: World, move: Move) -> None:
        """Do what the model has just done."""
        world, who = self.machine.world, self.machine.people
        match move:
            case ("commit", _):
                fact = self.facts[model.facts] = self.communities.pop()
                [row] = model.sites["directory"].outbox[-1:]
                await people.acts(world, who[row[2]], "join", community=fact)
            case ("ask", person, door):
                # Of one reason: a batch has no two, which the model knows nothing of.
                await people.asks(world, who[person], door, reason=Reason.SELF_SERVICE)
            case ("tell again", _):
                await world.hours_pass()
                await world.job("identity", "repeat_deletions")
            case ("deliver", message) if message not in model.bus:
                await self._deliver(model, message, keep=False)
            case ("deliver and die", message):
                await self._deliver(model, message, keep=True)
            case ("reserve", _):
                async with world.processes[PRIVACY].runtime.db.transaction() as session:
                    batch = await broadcasts.waiting(session)
                    await broadcasts.reserve(session, batch=batch, sealed={})
            case ("send", _):
                await erasures._finish(world.processes[PRIVACY].runtime)
            case ("complete",):
                await world.job(PRIVACY, "complete")
            case ("chase", _):
                await world.hours_pass()
                await world.job(PRIVACY, "chase")

    async def _deliver(self, model: World, message: Any, *, keep: bool) -> None:
        match message:
            case ("fact", to, _, number):
                wanted = self.facts[number]
                await self._bring(
                    "directory", f"{to}.events", lambda d: self._joined(d, wanted), keep=keep
                )
            case ("wish", (person, _)):
                account = str(self.machine.people[person].id)
                await self._bring(
                    "identity", "privacy.events",
                    lambda d: "erasure_id" in d and d.get("account_id") == account, keep=keep,
                )  # fmt: skip
            case ("erase", to, position, _):
                if position not in model.sites[to].applied:
                    return  # the model's command waits for a writer
                queue = f"ext.{PARTNER}.events" if to == PARTNER else f"{to}.erasure"
                await self._bring(PRIVACY, queue, lambda d: self._at(d, position), keep=keep)
            case ("answer", name, position, *_):
                await self._bring(
                    name, "privacy.acks",
                    lambda d: self._at(d, position) and d.get("participant", PARTNER) == name, keep=keep,
                )  # fmt: skip

    def _joined(self, data: dict[str, Any], community: str) -> bool:
        return "membership_id" in data and data.get("community_id") == community

    def _at(self, data: dict[str, Any], position: int) -> bool:
        return data.get("position") == position + self.first - 1

    async def _bring(
        self, sender: str, queue: str, wanted: Callable[[dict[str, Any]], bool], *, keep: bool
    ) -> None:  # fmt: skip
        """Deliver the message of that queue that is wanted, relaying what its sender has written."""
        world, past = self.machine.world, self.past.setdefault(queue, [])

        def place() -> int | None:
            held = enumerate(world.broker.queues[queue])
            return next((n for n, one in held if wanted(json.loads(one.body)["data"])), None)

        if place() is None and sender != PARTNER:
            await world.relay(sender)
        if place() is None:
            again = [one for one in past if wanted(json.loads(one.body)["data"])]
            world.broker.queues[queue] += [replace(one, headers={}) for one in again[:1]]
        if (found := place()) is not None:
            past.append(world.broker.queues[queue][found])
            await world.deliver(queue, found, keep=keep)
            return
        raise AssertionError(f"the model delivers what {sender} never sent to {queue}")

    async def agrees(self, model: World) -> None:
        """Who is erased where, who has proven it, and what is complete."""
        world, ids = self.machine.world, [person.id for person in self.machine.people]

        def numbers(rows: list[Any]) -> list[int]:
            return sorted(ids.index(row["person"]) for row in rows)

        for name in SERVICES:
            erased = await world.rows(
                name,
                "SELECT id AS person FROM data_subject WHERE id = ANY($1) AND erased_at IS NOT NULL",
                ids,
            )
            assert numbers(erased) == sorted(model.sites[name].tombs), f"erased by {name}"
        privacy = model.sites[PRIVACY]
        wishes = await world.rows(
            PRIVACY, "SELECT subject_id AS person FROM erasure WHERE subject_id = ANY($1)", ids
        )
        assert numbers(wishes) == sorted(person for person, _ in privacy.erasures), "known"
        proven = await world.rows(
            PRIVACY,
            "SELECT subject_id AS person, participant FROM step JOIN erasure USING (erasure_id)"
            " WHERE subject_id = ANY($1) AND outcome IS NOT NULL",
            ids,
        )
        assert sorted((ids.index(row["person"]), row["participant"]) for row in proven) == sorted(
            (erasure[0], who)
            for (erasure, who), proof in privacy.steps.items()
            if proof is not None
        ), "proven"
        done = await world.rows(
            PRIVACY,
            "SELECT subject_id AS person FROM erasure"
            " WHERE subject_id = ANY($1) AND completed_at IS NOT NULL",
            ids,
        )
        assert numbers(done) == sorted(person for person, _ in privacy.done), "completed"


async def replay(machine: Schedules, seed: int, *, off: str | None = None) -> int:
    """One walk, in the model and in reality; returns its moves. Raises `AssertionError`.

    `off`: a guard that the model lacks.
    """
    world, drawn = machine.world, random.Random(seed)
    communities = [await people.an_open_community(world) for _ in range(REPLAYED.writes)]
    for person in machine.people:
        await people.acts(world, person, "company", community=communities[0])
        assert person.company
    await machine._drain()
    [last] = await world.rows(
        PRIVACY, "SELECT coalesce(max(position), 0) AS position FROM broadcast"
    )
    real = Replay(machine, communities, last["position"] + 1)
    model, trace = begin(REPLAYED, off=off), list[Move]()
    disturbed = drawn.randrange(10, 60)
    while found := [
        move for move in moves(model, faults=len(trace) < disturbed) if move[0] not in _LEFT_OUT
    ]:
        trace.append(drawn.choice(found))
        step(model, trace[-1])
        try:
            await real.follow(model, trace[-1])
            await real.agrees(model)
        except AssertionError as error:
            told = "\n".join(f"  {number:3} {move}" for number, move in enumerate(trace, 1))
            error.add_note(f"seed {seed}, after\n{told}")
            raise
    for person in machine.people:
        known = model.sites[PRIVACY].erasures
        person.asked = any(machine.people.index(person) == number for number, _ in known)
    await machine._end()
    await real.agrees(model)
    return len(trace)
