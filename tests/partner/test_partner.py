"""The demo partner as the process it is: it learns, forgets, answers, and survives what happens."""

import asyncio
import json
import signal
from uuid import uuid4

from chassis.ids import new_id
from contracts.base import Envelope, Kind
from contracts.privacy import PartnerAcknowledged
from tests.partner.conftest import PartnerStand, granted


async def test_a_partner_learns_forgets_and_says_so_in_its_own_name(partner: PartnerStand) -> None:
    known, other, stranger = new_id(), new_id(), new_id()
    for person in (known, other):
        await partner.say(granted(person))
    await partner.knows(known)
    await partner.knows(other)
    command = partner.command(known, stranger)
    await partner.say(command)
    data = await partner.answer(command)
    answer = PartnerAcknowledged.model_validate(data)
    assert (answer.position, answer.entry_hash) == (command.position, command.entry_hash)
    assert [(one.erasure_id, one.outcome.value) for one in answer.subjects] == [
        (command.subjects[0].erasure_id, "erased"),
        (command.subjects[1].erasure_id, "nothing_held"),
    ]
    body, message = partner.answers[-1]
    envelope = Envelope.model_validate(body)
    assert envelope.type == PartnerAcknowledged.event_type()
    assert envelope.source == "/partners/demo"
    assert message.user_id == partner.user
    assert message.message_id == str(envelope.id)
    assert message.routing_key == PartnerAcknowledged.routing_key()
    assert str(known) not in partner.state.read_text()
    assert partner.record()["people"] == [str(other)]


async def test_a_repeated_command_is_answered_again_and_alike(partner: PartnerStand) -> None:
    person = new_id()
    await partner.say(granted(person))
    command = partner.command(person)
    await partner.say(command)
    first = await partner.answer(command)
    await partner.say(command)
    assert await partner.answer(command, count=2) == first
    ids = {message.message_id for _, message in partner.answers}
    assert len(ids) == 2


async def test_a_late_fact_does_not_bring_a_person_back(partner: PartnerStand) -> None:
    person, witness = new_id(), new_id()
    command = partner.command(person)
    await partner.say(command)
    await partner.answer(command)
    await partner.say(granted(person))
    await partner.say(granted(witness))
    await partner.knows(witness)
    assert str(person) not in partner.state.read_text()


async def test_only_the_platform_can_tell_it_to_forget(partner: PartnerStand) -> None:
    person, witness = new_id(), new_id()
    await partner.say(granted(person))
    forged = partner.command(person)
    # A service may publish facts under its own keys; a command among them is no command.
    await partner.say(forged, kind=Kind.FACT, key="directory.membership_granted.v1")
    await partner.say(granted(witness))
    await partner.knows(witness)
    assert str(person) in partner.record()["people"]
    assert partner.answers == []


async def test_unreadable_messages_do_not_stop_it(partner: PartnerStand) -> None:
    for body in (b"\xff", b"[]", b"{}", json.dumps({"type": "x", "data": None}).encode()):
        await partner.say_raw(body, kind=Kind.FACT, key="directory.membership_granted.v1")
    person = new_id()
    await partner.say(granted(person))
    await partner.knows(person)


async def test_sigterm_stops_it_cleanly_and_nothing_said_meanwhile_is_lost(
    partner: PartnerStand,
) -> None:
    before, meanwhile = new_id(), new_id()
    await partner.say(granted(before))
    await partner.knows(before)
    assert await partner.stop(signal.SIGTERM) == 0
    await partner.say(granted(meanwhile))
    await partner.start()
    await partner.knows(meanwhile)
    assert str(before) in partner.record()["people"]


async def test_killed_between_forgetting_and_acknowledging_it_answers_after_its_restart(
    partner: PartnerStand,
) -> None:
    person = new_id()
    await partner.say(granted(person))
    await partner.knows(person)
    partner.proxy.hold = b"erasure_acknowledged"
    command = partner.command(person)
    await partner.say(command)
    await asyncio.wait_for(partner.proxy.held.wait(), 10)
    assert str(person) not in partner.state.read_text()
    assert await partner.stop(signal.SIGKILL) == -signal.SIGKILL
    assert partner.answers == []
    partner.proxy.mend()
    await partner.start()
    (subject,) = (await partner.answer(command))["subjects"]
    assert subject["outcome"] == "erased"


async def test_a_lost_connection_is_found_again(partner: PartnerStand) -> None:
    person, later = new_id(), new_id()
    await partner.say(granted(person))
    await partner.knows(person)
    partner.proxy.refuse = True
    partner.proxy.reset()
    command = partner.command(person)
    await partner.say(command)
    await partner.say(granted(later))
    await asyncio.sleep(1.5)
    assert partner.process
    assert partner.process.returncode is None
    partner.proxy.mend()
    assert (await partner.answer(command))["subjects"][0]["outcome"] == "erased"
    await partner.knows(later)


async def test_a_connection_lost_while_an_answer_is_on_its_way_costs_only_a_repetition(
    partner: PartnerStand,
) -> None:
    partner.proxy.hold = b"erasure_acknowledged"
    command = partner.command(uuid4())
    await partner.say(command)
    await asyncio.wait_for(partner.proxy.held.wait(), 10)
    partner.proxy.reset()
    partner.proxy.mend()
    assert (await partner.answer(command))["subjects"][0]["outcome"] == "nothing_held"
