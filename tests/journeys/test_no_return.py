"""The whole history of a forgotten person is told again, and brings nobody back (E9)."""

import asyncio
import json
import re
import time
from typing import Any

import aio_pika
import httpx2

from chassis.ids import new_id
from contracts.base import Kind
from tests.journeys import people
from tests.journeys.stack import Stack, eventually
from tests.journeys.test_nothing_left import WHERE_IDS_STAY

EAR = "test.history"


def on_the_bus(stack: Stack, work: Any) -> Any:
    """Run `work(channel)` as the broker's administrator."""

    async def run() -> Any:
        async with await aio_pika.connect(stack.described["amqp"]) as connection:
            return await work(await connection.channel())

    return asyncio.run(run())


async def listen(channel: Any) -> None:
    queue = await channel.declare_queue(EAR, durable=True)
    for kind in (Kind.FACT, Kind.ANSWER):
        await queue.bind(kind.value, "#")


async def heard(channel: Any) -> list[tuple[str, str, bytes]]:
    queue = await channel.get_queue(EAR)
    found = []
    while (message := await queue.get(fail=False, no_ack=True)) is not None:
        found.append((message.exchange, message.routing_key, message.body))
    await queue.delete()
    return found


def refused(stack: Stack, service: str) -> float:
    """How many events about erased people that service has refused to apply."""
    text = httpx2.get(f"{stack.described['operations'][service]}/metrics").text
    found = re.search(r"^late_events_refused_total\{[^}]*\} ([\d.]+)", text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def test_nothing_that_was_said_about_a_person_brings_them_back(stack: Stack) -> None:
    on_the_bus(stack, listen)
    community = people.a_community(stack)
    buyer, person = people.a_buyer(stack), people.a_member(stack)
    call = people.publishes(buyer, people.joins_with_a_company(buyer, community), community)
    people.replies(person, people.joins_with_a_company(person, community), call)
    person.delete_account().completed()
    history = [
        (exchange, key, json.loads(body))
        for exchange, key, body in on_the_bus(stack, heard)
        if person.account_id in body.decode()
    ]
    said = {event["type"].rsplit(".", 2)[1] for _, _, event in history}
    assert said >= {"account_opened", "account_verified", "person_attached", "membership_granted"}
    assert said >= {"reply_submitted", "account_locked", "subscribed"}
    before = {name: refused(stack, name) for name in stack.described["services"]}

    async def say_again(channel: Any) -> None:
        for fresh in (False, True):  # as the same messages, and as new ones
            for exchange, key, event in history:
                again = event | {"id": str(new_id())} if fresh else event
                target = await channel.get_exchange(exchange, ensure=False)
                await target.publish(aio_pika.Message(json.dumps(again).encode()), key)

    on_the_bus(stack, say_again)
    eventually(
        lambda: all(
            refused(stack, name) > before[name]
            for name in ("consultations", "notifications", "privacy")  # the others hear of nobody
        ),
        "late events are refused, and counted",
    )
    stack.queued()  # until the queues are empty
    time.sleep(1)
    for name in stack.described["postgres"]:
        lines = [line for line in stack.dump(name).splitlines() if person.account_id in line]
        tables = {
            match.group(1) for line in lines if (match := re.match(r"INSERT INTO \w+\.(\w+)", line))
        }
        assert tables <= WHERE_IDS_STAY, name
    assert person.account_id not in (stack.layout.state / "partner.json").read_text()
