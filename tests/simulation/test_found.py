"""What the model found, done to the real services: four ways in which a restore met a broadcast."""

from collections.abc import Awaitable, Callable

import pytest

from chassis import jobs
from chassis.service import open_runtime
from tests.simulation import people
from tests.simulation.machine import JOBS, SERVICES, Schedules
from tests.simulation.world import Died, World


async def _all_but_the_partner(world: World) -> None:
    """Everything that has to be done, except that the partner is not listening."""
    for _ in range(6):
        await world.hours_pass()
        for name in SERVICES:
            await world.reconcile(name)
        for job in JOBS:
            await world.job(*job)
        for name in SERVICES:
            await world.relay(name)
        for queue, held in list(world.broker.queues.items()):
            if held and queue.partition(".")[0] in SERVICES and not queue.endswith(".dead"):
                await world.deliver(queue, *range(len(held)))


def _begin(schedules: type[Schedules]) -> Schedules:
    machine = schedules.__new__(schedules)
    machine.begin()
    machine.run(machine._drain())
    return machine


def test_a_partner_that_was_away_in_the_backup_must_answer_what_it_was_told(
    schedules: type[Schedules],
) -> None:
    machine = _begin(schedules)
    world, [person] = machine.world, machine.people

    async def story() -> None:
        await world.set_partner(active=False)
        await world.back_up("privacy")
        await world.set_partner(active=True)
        await people.asks(world, person, "rights")
        await _all_but_the_partner(world)
        await world.restore("privacy")
        await _all_but_the_partner(world)
        [row] = await world.rows(
            "privacy", "SELECT completed_at FROM erasure WHERE subject_id = $1", person.id
        )
        assert row["completed_at"] is None, "completed, and the partner has proven nothing"
        steps = await world.rows(
            "privacy",
            "SELECT participant FROM step JOIN erasure USING (erasure_id)"
            " WHERE subject_id = $1 AND outcome IS NULL",
            person.id,
        )
        assert [step["participant"] for step in steps] == ["partner"]

    machine.run(story())
    machine.ever_restored = {"privacy"}
    machine.teardown()


def _while_copying(world: World, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """Let this happen while the job of privacy is about to write an entry outside the database."""
    ledger = world.processes["privacy"].runtime.ledger
    append = ledger.append

    async def slowly(position: int, sealed: bytes) -> None:
        ledger.append = append  # type: ignore[method-assign]
        try:
            await meanwhile()
        except Exception as error:
            world.spoken.append(f"what should have come between did not: {error!r}")
            raise
        await append(position, sealed)

    ledger.append = slowly  # type: ignore[method-assign]


def _goes_back_and_is_reserved_anew(world: World) -> Callable[[], Awaitable[None]]:
    """The database is an earlier one, and a replica reserves the position that is being copied."""

    async def meanwhile() -> None:
        await world.restore("privacy")
        await world.reconcile("privacy")
        process = world.processes["privacy"]
        async with open_runtime(process.wired, process.settings) as replica:
            replica.http, replica.credentials = process.http, process.runtime.credentials
            [job] = [one for one in process.wired.jobs if one.name == "broadcast"]
            world.armed.at = "privacy.after_reserve"
            try:
                await jobs.once_among_replicas(replica, job)
            except Died:
                pass

    return meanwhile


def test_an_entry_is_not_sent_under_the_position_of_another_that_was_copied(
    schedules: type[Schedules],
) -> None:
    machine = _begin(schedules)
    world, [person] = machine.world, machine.people

    async def story() -> None:
        await people.asks(world, person, "rights")
        await world.back_up("privacy")
        _while_copying(world, _goes_back_and_is_reserved_anew(world))
        await world.job("privacy", "broadcast")
        for _ in range(5):
            await world.relay("privacy")

    machine.run(story())
    assert not world.spoken, world.spoken
    machine.teardown()


def test_privacy_notices_that_the_copy_holds_what_it_knows_nothing_of(
    schedules: type[Schedules],
) -> None:
    machine = _begin(schedules)
    world, [person] = machine.world, machine.people

    async def goes_back() -> None:
        await world.restore("privacy")
        await world.reconcile("privacy")

    async def story() -> None:
        await world.back_up("privacy")
        await people.asks(world, person, "rights")
        _while_copying(world, goes_back)
        await world.job("privacy", "broadcast")

    machine.run(story())
    machine.teardown()


@pytest.mark.parametrize("named", [True, False], ids=["named", "not-named"])
def test_who_is_asked_is_told_by_the_entry_that_was_copied_not_by_one_that_was_reserved(
    schedules: type[Schedules], *, named: bool
) -> None:
    """Three of a million walks: whoever only the other entry named could never answer, nor be waived."""
    machine = _begin(schedules)
    world, [person] = machine.world, machine.people

    async def story() -> None:
        await world.set_partner(active=not named)
        await people.asks(world, person, "rights")
        await world.back_up("privacy")
        await world.set_partner(active=named)
        _while_copying(world, _goes_back_and_is_reserved_anew(world))
        await world.job("privacy", "broadcast")
        await world.set_partner(active=named)
        await _all_but_the_partner(world)
        steps = await world.rows(
            "privacy",
            "SELECT outcome IS NULL AS open, completed_at FROM step JOIN erasure USING (erasure_id)"
            " WHERE subject_id = $1 AND participant = 'partner'",
            person.id,
        )
        assert [step["open"] for step in steps] == ([True] if named else [])
        [row] = await world.rows(
            "privacy", "SELECT completed_at FROM erasure WHERE subject_id = $1", person.id
        )
        assert (row["completed_at"] is None) is named

    machine.run(story())
    machine.ever_restored = {"privacy"}
    machine.teardown()
