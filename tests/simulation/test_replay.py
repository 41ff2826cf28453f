"""The model says of the real services what is true: its walks, done to them, lead to the same states."""

import os

import pytest

from tests.simulation.machine import Schedules
from tests.simulation.replay import replay

_SEED = int(os.environ.get("CCIB_SEED", "0"))


def _replay(schedules: type[Schedules], seed: int) -> int:
    machine = schedules.__new__(schedules)
    machine.begin(together=True)
    moves: int = machine.run(replay(machine, seed))
    return moves


@pytest.mark.parametrize("seed", range(2))
def test_a_walk_of_the_model_leads_the_real_services_to_the_same_states(
    schedules: type[Schedules], seed: int
) -> None:
    assert _replay(schedules, _SEED + seed) > 10


def test_a_model_that_is_wrong_is_found_out(schedules: type[Schedules]) -> None:
    machine = schedules.__new__(schedules)
    machine.begin(together=True)
    with pytest.raises(AssertionError, match="known"):
        machine.run(replay(machine, 1, off="one active"))
    machine.run(machine._drain())


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_hundred_walks_of_the_model_lead_the_real_services_to_the_same_states(
    schedules: type[Schedules],
) -> None:
    moves = sum(_replay(schedules, 1000 + _SEED + seed) for seed in range(100))
    print(f"100 walks, {moves} moves, each compared")
