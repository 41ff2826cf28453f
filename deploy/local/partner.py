"""A demo partner system: it listens to the platform, remembers people, and forgets them when told.

It stands for the software of another chamber and is written as its makers would write it: it knows
nothing of the platform but a broker address, the name of its queue and the form of the messages.
Copy it, and put your database where `Record` is.

Three rules make it a partner that can be trusted:

1. Write down durably, then answer, then acknowledge the delivery: whatever dies in between, the
   message comes again and nothing is claimed that was not done.
2. The same command may come twice, from the queue or from the platform: answer the same again.
3. A fact may come late, after the command to forget its person: it must not bring the person back.

Environment: `CCIB_PARTNER_AMQP_URL`, `CCIB_PARTNER_QUEUE`, `CCIB_PARTNER_STATE` (a JSON file), and
`CCIB_PARTNER_NAME` when the name is not the one in `ext.<name>.events`.
"""

import asyncio
import hashlib
import json
import logging
import os
import signal
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from yarl import URL

COMMANDS, ANSWERS = "ccib.commands", "ccib.acks"
GRANTED = "fr.ccibusiness.directory.membership_granted.v1"
ERASE = "fr.ccibusiness.privacy.erase.v1"
ACKNOWLEDGED = "fr.ccibusiness.partner.erasure_acknowledged.v1"

PREFETCH = 200
PUBLISH_S = 30.0
PAUSE_S = 1.0

log = logging.getLogger("partner")


@dataclass
class Record:
    """What this system holds about people, in one JSON file that is replaced as a whole."""

    path: Path
    people: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    """SHA-256 of the ids of people who must not come back; the ids themselves are gone."""
    outcomes: dict[str, str] = field(default_factory=dict)
    """What was answered, by erasure id, so that a repeated command gets the same answer."""

    @classmethod
    def load(cls, path: Path) -> "Record":
        """The record as it was saved last; an empty one at the very first start."""
        if not path.exists():
            return cls(path)
        kept = json.loads(path.read_text())
        return cls(path, set(kept["people"]), set(kept["forgotten"]), kept["outcomes"])

    def save(self) -> None:
        """Once this returns, neither a crash nor a power cut takes it back."""
        content = {
            "people": sorted(self.people),
            "forgotten": sorted(self.forgotten),
            "outcomes": self.outcomes,
        }
        fresh = self.path.with_name(f".{self.path.name}.new")
        with fresh.open("w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name, too
        finally:
            os.close(folder)

    def learn(self, person_id: str) -> None:
        """Remember a person, unless they are to be forgotten."""
        if _fingerprint(person_id) not in self.forgotten:
            self.people.add(person_id)

    def forget(self, erasure_id: str, person_id: str) -> str:
        """Forget a person; returns the outcome to answer with, the same for the same erasure."""
        held = person_id in self.people
        self.people.discard(person_id)
        self.forgotten.add(_fingerprint(person_id))
        return self.outcomes.setdefault(erasure_id, "erased" if held else "nothing_held")


def _fingerprint(person_id: str) -> str:
    return hashlib.sha256(person_id.encode()).hexdigest()


def react(record: Record, message: AbstractIncomingMessage) -> dict[str, Any] | None:
    """Change the record as the message says; returns the answer to give, if it wants one.

    Raises `ValueError`, `KeyError` or `TypeError` for a message that is not what it should be.
    """
    event = json.loads(message.body)
    data = event["data"]
    if event["type"] == GRANTED:
        record.learn(str(data["person_id"]))
    # Only the platform can write to the exchange of commands: an order from elsewhere is none.
    if event["type"] != ERASE or message.exchange != COMMANDS:
        return None
    return {
        "position": data["position"],
        "entry_hash": data["entry_hash"],
        "subjects": [
            {
                "erasure_id": subject["erasure_id"],
                "outcome": record.forget(subject["erasure_id"], subject["subject_id"]),
            }
            for subject in data["subjects"]
        ],
    }


@dataclass(frozen=True)
class Partner:
    """Who this system is on the broker, and what it has been told."""

    url: URL
    queue: str
    name: str
    record: Record

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until told to stop, over as many connections as it takes."""
        while not stop.is_set():
            try:
                async with await aio_pika.connect(self.url, timeout=10) as connection:
                    log.info("connected")
                    await self._serve(await connection.channel(on_return_raises=True), stop)
            except (aio_pika.exceptions.AMQPError, OSError, TimeoutError, RuntimeError) as error:
                log.warning("connection lost: %s", type(error).__name__)
            except asyncio.CancelledError:
                # The library cancels whoever waits for a confirm when the connection goes.
                if (task := asyncio.current_task()) and task.cancelling():
                    raise
                log.warning("connection lost while answering")
            await _first(stop.wait(), asyncio.sleep(PAUSE_S))

    async def _serve(self, channel: AbstractChannel, stop: asyncio.Event) -> None:
        """Work off deliveries in their order until the channel is gone or it is time to stop."""
        waiting: list[AbstractIncomingMessage] = []
        arrived = asyncio.Event()

        async def keep(message: AbstractIncomingMessage) -> None:
            waiting.append(message)
            arrived.set()

        await channel.set_qos(prefetch_count=PREFETCH)
        source = await channel.get_queue(self.queue, ensure=False)
        await source.consume(keep)
        while not stop.is_set() and not channel.is_closed:
            await _first(stop.wait(), channel.closed(), arrived.wait())
            # Whatever has arrived by now shares one write to the disk.
            batch = waiting.copy()
            waiting.clear()
            arrived.clear()
            if batch:
                await self._work_off(channel, batch)

    async def _work_off(
        self, channel: AbstractChannel, batch: list[AbstractIncomingMessage]
    ) -> None:
        answers = []
        for message in batch:
            try:
                answers.append(react(self.record, message))
            except (ValueError, KeyError, TypeError) as error:
                log.error("unreadable message dropped: %s", type(error).__name__)
        await asyncio.to_thread(self.record.save)
        exchange = await channel.get_exchange(ANSWERS, ensure=False)
        for answer in filter(None, answers):
            # Returns once the broker has it for good; raises when it cannot or will not take it.
            await exchange.publish(self._message(answer), "erasure_acknowledged", timeout=PUBLISH_S)
            log.info("erased %d people, position %d", len(answer["subjects"]), answer["position"])
        await batch[-1].ack(multiple=True)

    def _message(self, answer: dict[str, Any]) -> aio_pika.Message:
        event = {
            "specversion": "1.0",
            "id": str(uuid4()),
            "source": f"/partners/{self.name}",
            "type": ACKNOWLEDGED,
            "subject": answer["entry_hash"],
            "time": datetime.now(UTC).isoformat(),  # noqa: TID251 - no part of the platform
            "datacontenttype": "application/json",
            "data": answer,
        }
        return aio_pika.Message(
            json.dumps(event).encode(),
            content_type="application/cloudevents+json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=event["id"],
            user_id=self.url.user,  # the broker checks it, so the platform knows who speaks
        )


async def _first(*waits: Any) -> None:
    """Return when the first of them is done."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def main() -> None:
    """Run until SIGTERM or SIGINT; what is in hand then is finished first."""
    queue = os.environ["CCIB_PARTNER_QUEUE"]
    partner = Partner(
        url=URL(os.environ["CCIB_PARTNER_AMQP_URL"]),
        queue=queue,
        name=os.environ.get("CCIB_PARTNER_NAME")
        or queue.removeprefix("ext.").removesuffix(".events"),
        record=Record.load(Path(os.environ["CCIB_PARTNER_STATE"])),
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await partner.run(stop)
    log.info("stopped")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(main())
