"""E10: whatever was restored serves nothing of an erased person, from its first answer."""

import asyncio

import pytest

from contracts.privacy import ErasureAcknowledged
from tests.restore import world
from tests.restore.conftest import FOUR, House


@pytest.mark.parametrize("name", FOUR)
async def test_a_service_restored_to_an_earlier_state_forgets_again_before_it_answers_anybody(
    house: House, name: str
) -> None:
    stand = await house(name)
    person, other = await world.somebody(stand), await world.somebody(stand)
    assert (await world.held(stand, person))[0] == 200
    before = await world.epoch(stand.settings.database_url)
    yesterday, the_day_before = await world.back_up(stand), await world.back_up(stand)
    command = await stand.order(person.id)
    proof = await stand.hear(ErasureAcknowledged, broadcast_id=command.broadcast_id)

    # At a start, on a backup.
    url = world.url_of(stand, yesterday)
    assert await world.left(url, person) == set(person.filling.tokens.values())
    async with world.started(stand, database=yesterday) as runtime:
        assert await runtime.not_ready() is None
        assert await world.left(url, person) == set()
        assert await world.left(url, other) == set(other.filling.tokens.values())
        assert await world.epoch(url) == before + 1
    async with world.started(stand, database=yesterday):
        assert await world.epoch(url) == before + 1  # by now it knows where it is

    # Behind the running process, which is asked without pause.
    async with world.Callers(stand, person).asking() as callers:
        await asyncio.sleep(0.1)
        await world.restore(stand, the_day_before)
        await world.forgotten(stand, person)
        await world.ready(stand)
        callers.answers.clear()
        while all(status == 503 for status, _ in callers.answers):
            await asyncio.sleep(0.01)
    assert not callers.told
    assert not any(callers.seen)
    url = stand.settings.database_url
    assert await world.left(url, person) == set()
    assert await world.left(url, other) == set(other.filling.tokens.values())
    assert (await world.held(stand, other))[0] == 200
    assert await world.epoch(url) == before + 1
    again = await stand.hear(ErasureAcknowledged, times=2, broadcast_id=command.broadcast_id)
    assert [one["tables"] for one in again["subjects"]] == [
        one["tables"] for one in proof["subjects"]
    ]
