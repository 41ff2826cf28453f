"""The example consumer that partners copy, as a process against the real broker."""

import asyncio
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest

from chassis.ids import new_id
from contracts.base import Envelope, Kind
from contracts.directory import MembershipEnded
from contracts.privacy import PartnerAcknowledged
from tests.partner.conftest import PartnerStand, granted, standing

CONSUMER = "contracts/examples/consumer.py"


@pytest.fixture
async def consumer(servers: SimpleNamespace, tmp_path: Path) -> AsyncIterator[PartnerStand]:
    async with standing(servers, tmp_path, program=(CONSUMER,)) as stand:
        yield stand


def people(stand: PartnerStand) -> set[str]:
    with closing(sqlite3.connect(stand.environment["DATABASE"])) as database:
        try:
            return {person for (person,) in database.execute("SELECT person_id FROM member")}
        except sqlite3.OperationalError:  # it has not made its tables yet
            return set()


async def until(stand: PartnerStand, *expected: UUID) -> None:
    for _ in range(1000):
        if people(stand) == set(map(str, expected)):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"the consumer knows {people(stand)}")


async def test_the_example_learns_forgets_answers_and_brings_nobody_back(
    consumer: PartnerStand,
) -> None:
    known, other, witness, stranger = (new_id() for _ in range(4))
    left = granted(witness)
    for event in (granted(known), granted(other), left):
        await consumer.say(event)
    await until(consumer, known, other, witness)
    # What is no message, and a command that is none.
    for body in (b"\xff", b"[]", b"{}", b'{"type": "x", "data": null}'):
        await consumer.say_raw(body, kind=Kind.FACT, key="directory.membership_granted.v1")
    forged = consumer.command(other)
    await consumer.say(forged, kind=Kind.FACT, key="directory.membership_granted.v1")
    await consumer.say(MembershipEnded(**left.model_dump()))
    command = consumer.command(known, stranger)
    await consumer.say(command)
    data = await consumer.answer(command)
    assert people(consumer) == {str(other)}
    answer = PartnerAcknowledged.model_validate(data)
    assert (answer.position, answer.entry_hash) == (command.position, command.entry_hash)
    assert [(one.erasure_id, one.outcome.value) for one in answer.subjects] == [
        (command.subjects[0].erasure_id, "erased"),
        (command.subjects[1].erasure_id, "nothing_held"),
    ]
    body, message = consumer.answers[-1]
    assert Envelope.model_validate(body).type == PartnerAcknowledged.event_type()
    assert message.user_id == consumer.user
    assert message.routing_key == PartnerAcknowledged.routing_key()
    await consumer.say(granted(known))
    await consumer.say(command)
    assert await consumer.answer(command, count=2) == data
    assert people(consumer) == {str(other)}
    assert len(consumer.answers) == 2


async def test_the_example_killed_before_its_answer_arrived_answers_after_its_restart(
    consumer: PartnerStand,
) -> None:
    person = uuid4()
    await consumer.say(granted(person))
    await until(consumer, person)
    consumer.proxy.hold = b"erasure_acknowledged"
    command = consumer.command(person)
    await consumer.say(command)
    await asyncio.wait_for(consumer.proxy.held.wait(), 10)
    assert people(consumer) == set()
    assert await consumer.stop(signal.SIGKILL) == -signal.SIGKILL
    consumer.proxy.mend()
    await consumer.start()
    assert (await consumer.answer(command))["subjects"][0]["outcome"] == "erased"
