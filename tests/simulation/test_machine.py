"""Schedules of the real services: drawn by Hypothesis, and a few that must fail."""

import os
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants
from hypothesis.stateful import run_state_machine_as_test

from chassis import inbox_rows, retries
from chassis.restore import Restoration
from tests.simulation.machine import JOBS, SERVICES, Schedules

_SHORT = 180
"""Asked of Hypothesis, which goes through some more: about two hundred."""
_SHORT_STEPS, _LONG_STEPS = 10, 20
"""At most; many short schedules meet more beginnings and ends than few long ones in the same time."""
_LONG = int(os.environ.get("CCIB_SCHEDULES", "2000"))
_SEED = int(os.environ.get("CCIB_SEED", "1"))


@pytest.fixture(autouse=True)
def same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """A seed draws the same whatever else is imported: Hypothesis would also draw numbers that it finds in
    the source of the modules of this run.
    """
    none = Constants()
    monkeypatch.setattr(providers, "_get_local_constants", lambda: none)
    monkeypatch.setattr(providers, "CONSTANTS_CACHE", providers.LRUCache(1024))


def _run(schedules: type[Schedules], *, many: int, steps: int, drawn: int, again: str) -> None:
    before = schedules.count, schedules.steps, schedules.restored, schedules.completed
    began = time.process_time()
    try:
        run_state_machine_as_test(
            seed(drawn)(schedules),
            settings=settings(
                max_examples=many,
                stateful_step_count=steps,
                deadline=None,
                derandomize=False,
                database=None,
                print_blob=False,
                phases=[Phase.generate, Phase.shrink],
                verbosity=Verbosity.normal,
                suppress_health_check=list(HealthCheck),
            ),
        )
    except BaseException as error:
        error.add_note(f"seed {drawn}, {many} schedules; to replay: {again}")
        raise
    finally:
        after = schedules.count, schedules.steps, schedules.restored, schedules.completed
        seconds = time.process_time() - began
        count, done, restored, completed = (b - a for a, b in zip(before, after, strict=True))
        died = schedules.world.armed.died
        print(
            f"{count} schedules in {seconds:.0f} s of processor, {done} steps, {restored} restores,"
            f" {sum(died.values())} deaths at {len(died)} crash points,"
            f" {completed} people erased and proven, 0 resurrections"
        )


@pytest.mark.timeout(600)  # for a failure, which is shrunk
def test_whatever_happens_in_whatever_order_who_asked_is_gone_and_nobody_else(
    schedules: type[Schedules],
) -> None:
    _run(
        schedules,
        many=_SHORT,
        steps=_SHORT_STEPS,
        drawn=1,
        again=".venv/bin/python -m pytest tests/simulation/test_machine.py -k whatever",
    )
    assert schedules.completed > _SHORT // 3


@pytest.mark.long
@pytest.mark.timeout(4 * 3600)
def test_thousands_of_schedules(schedules: type[Schedules]) -> None:
    _run(
        schedules,
        many=_LONG,
        steps=_LONG_STEPS,
        drawn=_SEED,
        again=f"CCIB_SEED={_SEED} CCIB_SCHEDULES={_LONG} .venv/bin/python -m pytest -m long"
        " tests/simulation/test_machine.py -k thousands",
    )


# --- that it bites


@pytest.fixture
def machine(schedules: type[Schedules]) -> Iterator[Schedules]:
    """A schedule that a test writes itself, step by step."""
    one = schedules.__new__(schedules)
    one.begin()
    one.may_restore = 1
    yield one
    one.run(one._drain())


def _is_restored_after_the_erasure(machine: Schedules) -> None:
    machine.acts(who=0, what="profile", dies=0)
    machine.run(machine._drain())
    machine.is_backed_up(name="directory")
    machine.asks(who=0, door="account", dies=0)
    machine.run(machine._drain())
    machine.holds()
    machine.is_restored(which=0)
    machine.holds()


def test_a_restored_service_is_seen_to_refuse(machine: Schedules) -> None:
    _is_restored_after_the_erasure(machine)
    machine.run(machine._drain())
    machine.holds()


def test_without_the_gate_the_machine_sees_a_resurrection(
    machine: Schedules, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def opens_to_everybody(*_: object) -> None:
        pass

    with monkeypatch.context() as off:
        off.setattr(Restoration, "admit", opens_to_everybody)
        off.setattr(Restoration, "passed", opens_to_everybody)
        with pytest.raises(AssertionError, match="serves somebody it had erased"):
            _is_restored_after_the_erasure(machine)
    machine.run(machine.world.stop("directory"))
    machine.run(machine.world.start("directory"))


def test_without_the_fence_the_machine_sees_late_events_that_never_end(
    machine: Schedules, monkeypatch: pytest.MonkeyPatch
) -> None:
    guards = inbox_rows.guards

    async def sees_nobody_erased(session, batch):
        _, waiting = await guards(session, batch)
        return set(), waiting

    world = machine.world
    machine.acts(who=0, what="company", dies=0)
    machine.acts(who=0, what="join", dies=0)
    with monkeypatch.context() as off:
        off.setattr(inbox_rows, "guards", sees_nobody_erased)
        off.setattr(retries, "RETRIES_S", (0, 0))
        machine.run(world.relay("directory"))
        late = dict(world.broker.queues)
        for name in SERVICES:
            world.broker.queues[f"{name}.events"] = []
        machine.asks(who=0, door="rights", dies=0)
        machine.run(machine._drain())
        world.broker.queues.update(late)
        with pytest.raises(AssertionError, match=r"stuck|come to rest"):
            machine.teardown()
    machine.run(machine._begin(1))


def test_without_catching_up_the_machine_sees_a_partner_that_was_never_told(
    machine: Schedules, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.partner_comes_or_goes(active=False)
    machine.asks(who=0, door="rights", dies=0)
    machine.run(machine._drain())
    with monkeypatch.context() as off:
        off.setattr("tests.simulation.machine.JOBS", [job for job in JOBS if job[1] != "catch_up"])
        with pytest.raises(AssertionError, match="never told"):
            machine.teardown()
    machine.teardown()
