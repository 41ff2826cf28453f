"""A Hypothesis state machine over the real services: any order, any crash, and what must hold.

The rules are what people and faults do; between them everything may be late, twice, in another order,
or cut off. After each step the invariants are looked up in the real databases; at the end all that is
left is allowed to happen, and everybody who asked must be gone everywhere, with a certificate.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from joserfc import jws

from chassis.access import SCOPE
from tests.simulation import people
from tests.simulation.people import ACTS, Person
from tests.simulation.world import PARTNER, WIRED, World

SERVICES = tuple(WIRED)
BROADCAST = ("privacy", "broadcast")
JOBS = (
    BROADCAST,
    ("privacy", "complete"),
    ("privacy", "chase"),
    ("privacy", "catch_up"),
    ("identity", "repeat_deletions"),
)
_ROUNDS = 40
"""Rounds of everything after which what has not come to rest never will."""

_UNDER_WAY = (
    "SELECT (SELECT count(*) FROM outbox) AS said,"
    " (SELECT count(*) FROM inbox WHERE state = 'waiting') AS waiting"
)

_UNTOLD = """
SELECT erasure_id, position FROM erasure JOIN broadcast USING (position)
WHERE reserved_at > (SELECT registered_at FROM participant WHERE name = $1)
  AND NOT EXISTS (SELECT FROM step WHERE step.erasure_id = erasure.erasure_id AND participant = $1)
  AND NOT EXISTS (
    SELECT FROM missed WHERE missed.erasure_id = erasure.erasure_id AND participant = $1)
"""
"""Erasures of which the partner, who is back, has never heard."""

_WORK_FOR_JOBS = {
    "privacy": """
SELECT EXISTS (SELECT FROM erasure WHERE completed_at IS NULL)
    OR EXISTS (SELECT FROM broadcast WHERE sent_at IS NULL)
    OR EXISTS (SELECT FROM missed WHERE outcome IS NULL)
    OR EXISTS (
        SELECT FROM participant WHERE kind = 'partner' AND active
          AND coalesce(looked_through, 0) < (SELECT max(position) FROM broadcast)
    )""",
    "identity": "SELECT EXISTS (SELECT FROM erasure_request)",
}
"""Whether a run of the jobs could do anything: most runs could not, and cost as much."""

_STUCK = "state IN ('waiting', 'dead', 'parked')"

_dies = st.integers(0, 12).map(lambda n: n if n < 9 else 0)
"""At which crash point, counted from the beginning of the step; none when there are fewer."""


class Schedules(RuleBasedStateMachine):
    """One schedule: two people, and whatever befalls them."""

    world: ClassVar[World]
    runner: ClassVar[asyncio.Runner]
    community: ClassVar[str]
    bystander: ClassVar[Person]
    likeness: ClassVar[dict[str, str]]
    """What each service holds of somebody who asked for nothing."""
    count: ClassVar[int] = 0
    steps: ClassVar[int] = 0
    restored: ClassVar[int] = 0
    completed: ClassVar[int] = 0

    def run(self, work: Any) -> Any:
        """Without the runner's own care for Ctrl-C: at each call it writes out what a task holds, which
        took more than half of the time.
        """
        return self.runner.get_loop().run_until_complete(work)

    @initialize(
        goes_back=st.sampled_from((*SERVICES, *[None] * 30)),
        together=st.booleans(),
        before=st.lists(st.sampled_from(ACTS), max_size=4),
        heard=st.booleans(),
    )
    def begin(
        self,
        *,
        together: bool = False,
        before: Sequence[str] = (),
        heard: bool = False,
        goes_back: str | None = None,
    ) -> None:
        """`heard`: everybody knows of the first one's company and acts, so that more is open to them.

        `goes_back`: the service of which there is a backup from here on; it is restored some time.
        """
        type(self).count += 1
        self.may_restore = 2 if goes_back else 0
        self.ever_restored: set[str] = set()
        self.forgotten: set[tuple[str, UUID]] = set()
        self.people: list[Person] = []
        self.run(self._begin(2 if together else 1))
        for what in ("company", *before) if heard else before:
            self.acts(who=0, what=what, dies=0)
            if heard:
                self.run(self._spread())
        if goes_back:
            self.is_backed_up(name=goes_back)

    async def _begin(self, many: int) -> None:
        for queue in self.world.broker.queues.values():
            queue.clear()  # of a schedule that failed
        self.world.spoken.clear()
        self.world.copies.clear()
        for name in SERVICES:
            await self.world.reconcile(name)
            await self.world.rows(name, f"DELETE FROM inbox WHERE {_STUCK}")
        self.people = [await people.signs_up(self.world) for _ in range(many)]

    # --- people

    @rule(who=st.integers(0, 1), what=st.sampled_from(ACTS), dies=_dies)
    def acts(self, *, who: int, what: str, dies: int) -> None:
        person = self.people[who % len(self.people)]
        self.run(people.acts(self.world, person, what, community=self.community, dies=dies))

    @rule(who=st.integers(0, 1), door=st.sampled_from(["account", "rights"]), dies=_dies)
    def asks(self, *, who: int, door: str, dies: int) -> None:
        self.run(people.asks(self.world, self.people[who % len(self.people)], door, dies=dies))

    # --- what runs by itself, in any order

    @rule(name=st.sampled_from(SERVICES), dies=_dies)
    def relays(self, *, name: str, dies: int) -> None:
        self.run(self.world.relay(name, dies=dies))

    @rule(dies=_dies)
    def all_relay(self, *, dies: int) -> None:
        for name in SERVICES:
            self.run(self.world.relay(name, dies=dies))

    @precondition(lambda self: any(self.world.broker.queues.values()))
    @rule(
        queue=st.integers(0, 11),
        places=st.lists(st.integers(0, 7), min_size=1, max_size=4, unique=True),
        keep=st.booleans(),
        dies=_dies,
    )
    def delivers(self, *, queue: int, places: list[int], keep: bool, dies: int) -> None:
        filled = sorted(name for name, held in self.world.broker.queues.items() if held)
        name = filled[queue % len(filled)]
        if name.partition(".")[2] in ("dead", "unrouted"):
            return
        self.run(self.world.deliver(name, *places, keep=keep, dies=dies))

    @rule(job=st.sampled_from(JOBS), dies=_dies)
    def works(self, *, job: tuple[str, str], dies: int) -> None:
        self.run(self.world.job(*job, dies=dies))

    @rule()
    def time_passes(self) -> None:
        self.run(self.world.hours_pass())

    @rule(name=st.sampled_from(SERVICES), dies=_dies)
    def looks_at_the_copy(self, *, name: str, dies: int) -> None:
        self.run(self.world.reconcile(name, dies=dies))

    @rule(active=st.booleans())
    def partner_comes_or_goes(self, *, active: bool) -> None:
        self.run(self.world.set_partner(active=active))

    # --- databases that go back

    @precondition(lambda self: self.may_restore)
    @rule(name=st.sampled_from(SERVICES))
    def is_backed_up(self, *, name: str) -> None:
        if not self.world.copies.get(name):
            self.run(self.world.back_up(name))

    @precondition(lambda self: self.may_restore and any(self.world.copies.values()))
    @rule(which=st.integers(0, 4))
    def is_restored(self, *, which: int) -> None:
        there = sorted(name for name, copies in self.world.copies.items() if copies)
        name = there[which % len(there)]
        self.may_restore -= 1
        self.ever_restored.add(name)
        type(self).restored += 1
        self.run(self.world.restore(name))

    # --- what must hold

    @invariant()
    def holds(self) -> None:
        if getattr(self, "people", None):
            type(self).steps += 1
            self.run(self._holds())

    async def _holds(self) -> None:
        assert not self.world.spoken, self.world.spoken
        changed, self.world.touched = self.world.touched, set()
        for name in sorted(changed):
            for person in self.people:
                await self._forgotten_stays_forgotten(name, person)
        for person in self.people if "privacy" in changed else ():
            await self._completed_is_proven(person)

    async def _forgotten_stays_forgotten(self, name: str, person: Person) -> None:
        counted = await people.held(self.world, name, person.id)
        tombstone = counted.pop("tombstone")
        if tombstone:
            self.forgotten.add((name, person.id))
            assert not any(counted.values()), f"{name} holds rows of somebody erased: {counted}"
        elif (name, person.id) in self.forgotten:
            # Its database went back: whoever asks it gets nothing until it has forgotten again.
            answer = await self.world.call(
                name,
                "GET",
                f"/internal/subjects/{person.id}",
                headers=self.world.headers(scopes=(SCOPE,)),
            )
            assert answer is not None
            counted = await people.held(self.world, name, person.id)
            assert answer.status_code == 503 or counted["tombstone"], (
                f"{name} was restored and serves somebody it had erased: {answer.status_code}"
            )

    async def _completed_is_proven(self, person: Person) -> None:
        rows = await self.world.rows(
            "privacy",
            "SELECT erasure_id, completed_at, certificate, entry, position FROM erasure"
            " LEFT JOIN broadcast USING (position) WHERE subject_id = $1",
            person.id,
        )
        assert sum(row["completed_at"] is None for row in rows) <= 1, "two active erasures"
        for row in rows:
            if row["completed_at"] is None:
                continue
            named = set(json.loads(row["entry"])["participants"])
            statement = json.loads(jws.extract_compact(row["certificate"].encode()).payload)
            proven = {one["name"] for one in statement["participants"] if one["acknowledged_at"]}
            assert named <= proven, f"certified without {sorted(named - proven)}"
            for name in named - {PARTNER}:
                # A database that went back may be behind; then its gate speaks, above.
                assert (name, person.id) in self.forgotten, f"certified, and {name} has not erased"

    # --- the end

    def teardown(self) -> None:
        if getattr(self, "people", None):
            if self.may_restore and any(self.world.copies.values()):
                self.is_restored(which=0)
                self.holds()
            self.run(self._end())

    async def _end(self) -> None:
        await self.world.reconcile("privacy")
        await self.world.set_partner(active=True)
        await self._drain()
        for person in self.people:
            lost = person.asked and self.ever_restored & {"identity", "privacy"}
            if lost and not await self._known(person):  # the wish was in no copy yet
                await people.asks(self.world, person, "rights")
                await self._drain()
            if person.asked:
                await self._is_gone(person)
        untold = await self.world.rows("privacy", _UNTOLD, PARTNER)
        assert not untold, f"the partner was never told of {[dict(row) for row in untold]}"
        for name, before in self.likeness.items():
            after = await people.portrait(self.world, name, self.bystander)
            assert after == before, f"{name} has touched somebody else"
        for name in SERVICES:
            stuck = await self.world.rows(
                name, f"SELECT type, state, reason FROM inbox WHERE {_STUCK}"
            )
            assert not stuck, f"{name} is stuck: {[dict(row) for row in stuck]}"

    async def _known(self, person: Person) -> bool:
        return bool(
            await self.world.rows(
                "privacy", "SELECT 1 FROM erasure WHERE subject_id = $1", person.id
            )
        )

    async def _is_gone(self, person: Person) -> None:
        rows = await self.world.rows(
            "privacy",
            "SELECT completed_at, certificate FROM erasure WHERE subject_id = $1",
            person.id,
        )
        assert rows, "a wish was lost"
        assert all(row["completed_at"] and row["certificate"] for row in rows), "never completed"
        type(self).completed += 1
        for name in SERVICES:
            places = await people.found(self.world, name, person.word)
            assert not places, f"something of an erased person stands in {name}: {places}"
            counted = await people.held(self.world, name, person.id)
            assert counted.pop("tombstone"), f"{name} has no tombstone"
            assert not any(counted.values()), f"{name} holds rows of somebody erased: {counted}"

    async def _drain(self) -> None:
        """Let happen what is left, without faults, until nothing is."""
        for round_ in range(_ROUNDS):
            for name in SERVICES:
                if round_ % 3 == 0 or self.world.processes[name].runtime.gate.reason is not None:
                    await self.world.reconcile(name)
            await self.world.job(*BROADCAST)  # notices that privacy went back and knows of no work
            for name, under_way in _WORK_FOR_JOBS.items():
                [row] = await self.world.rows(name, under_way)
                for job in JOBS if row[0] else ():
                    if job[0] == name and job != BROADCAST:
                        await self.world.job(*job)
            await self._spread()
            if not await self._left():
                return
            if round_ % 2:
                await self.world.hours_pass()
        raise AssertionError(f"does not come to rest: {await self._left()}")

    async def _spread(self) -> None:
        """Relay what was said, and deliver it."""
        for name in SERVICES:
            [row] = await self.world.rows(name, _UNDER_WAY)
            if row["waiting"]:
                await self.world.retry(name)
            while row["said"] and await self.world.relay(name):
                pass
        for queue, held in list(self.world.broker.queues.items()):
            if held and queue.partition(".")[2] not in ("dead", "unrouted"):
                await self.world.deliver(queue, *range(len(held)))

    async def _left(self) -> list[str]:
        """What is still under way."""
        queues = self.world.broker.queues.items()
        left = [
            f"{queue}: {len(held)}"
            for queue, held in queues
            if held and queue.partition(".")[2] not in ("dead", "unrouted")
        ]
        for name in SERVICES:
            if (reason := self.world.processes[name].runtime.gate.reason) is not None:
                left.append(f"{name}: {reason}")
            [row] = await self.world.rows(name, _UNDER_WAY)
            left += [f"{name} {what}: {n}" for what, n in row.items() if n]
        mine = [person.id for person in self.people]
        for row in await self.world.rows(
            "privacy",
            "SELECT erasure_id FROM erasure WHERE subject_id = ANY($1) AND completed_at IS NULL",
            mine,
        ):
            left.append(f"erasure {row['erasure_id']}")
        if self.world.partner_active:
            owed = await self.world.rows(
                "privacy", "SELECT position FROM missed WHERE outcome IS NULL"
            )
            left += [f"the partner owes position {row['position']}" for row in owed]
        for row in await self.world.rows(
            "identity", "SELECT erasure_id FROM erasure_request WHERE account_id = ANY($1)", mine
        ):
            left.append(f"wish {row['erasure_id']}")
        return left
