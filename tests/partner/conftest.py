"""A virtual host with one partner in it, and the partner as the process it is."""

import asyncio
import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import aio_pika
import pytest

from chassis import clock, topology
from chassis.ids import new_id
from contracts.base import Event, Kind
from contracts.directory import MembershipEnded, MembershipGranted
from contracts.privacy import Erase, ErasureSubject, Reason
from deploy.local.layout import REPOSITORY
from tests.proxy import Proxy, proxying

FACTS = (MembershipGranted, MembershipEnded)


@dataclass
class PartnerStand:
    """The platform's side of a partner, and the partner's process."""

    user: str
    state: Path
    proxy: Proxy
    program: tuple[str, ...]
    """What Python runs."""
    environment: dict[str, str]
    channel: aio_pika.abc.AbstractChannel
    answers: list[tuple[dict[str, Any], aio_pika.abc.AbstractIncomingMessage]] = field(
        default_factory=list
    )
    process: asyncio.subprocess.Process | None = None
    position: int = 0

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self.program,
            cwd=REPOSITORY,
            env=self.environment,
        )

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal; returns the exit code."""
        assert self.process
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 10)

    def record(self) -> dict[str, Any]:
        return json.loads(self.state.read_text()) if self.state.exists() else {"people": []}

    async def knows(self, person_id: UUID) -> None:
        """Wait until the person is in the record."""
        for _ in range(1000):
            if str(person_id) in self.record()["people"]:
                return
            await asyncio.sleep(0.02)
        raise AssertionError("the partner did not learn in time")

    async def say(self, event: Event, *, kind: Kind | None = None, key: str = "") -> None:
        body = {
            "specversion": "1.0",
            "id": str(new_id()),
            "source": f"/services/{event.owner}",
            "type": event.event_type(),
            "subject": event.subject,
            "time": clock.now().isoformat(),
            "data": event.model_dump(mode="json"),
        }
        await self.say_raw(
            json.dumps(body).encode(), kind=kind or event.kind, key=key or event.routing_key()
        )

    async def say_raw(self, body: bytes, *, kind: Kind, key: str) -> None:
        exchange = await self.channel.get_exchange(kind.value, ensure=False)
        await exchange.publish(aio_pika.Message(body), key)

    async def answer(self, command: Erase, *, count: int = 1) -> dict[str, Any]:
        """The data of the newest answer to that command, once there are `count`."""
        for _ in range(1000):
            found = [body for body, _ in self.answers if body["subject"] == command.entry_hash]
            if len(found) >= count:
                return found[-1]["data"]
            await asyncio.sleep(0.02)
        raise AssertionError(f"{count} answers were not heard")

    def command(self, *people: UUID) -> Erase:
        self.position += 1
        return Erase(
            broadcast_id=uuid4(),
            position=self.position,
            entry_hash=secrets.token_hex(32),
            due_by=clock.now(),
            reason=Reason.SELF_SERVICE,
            subjects=tuple(ErasureSubject(erasure_id=uuid4(), subject_id=one) for one in people),
        )


def granted(person_id: UUID) -> MembershipGranted:
    return MembershipGranted(
        membership_id=uuid4(), person_id=person_id, company_id=uuid4(), community_id=uuid4()
    )


@pytest.fixture
async def partner(servers: SimpleNamespace, tmp_path: Path) -> AsyncIterator[PartnerStand]:
    """The demo partner of the local platform."""
    async with standing(servers, tmp_path, program=("-m", "deploy.local.partner")) as stand:
        yield stand


@asynccontextmanager
async def standing(
    servers: SimpleNamespace, folder: Path, *, program: tuple[str, ...]
) -> AsyncIterator[PartnerStand]:
    """A partner's process on a virtual host of its own; it keeps what it knows in `folder`."""
    vhost = f"p{secrets.token_hex(5)}"
    wanted = topology.definitions(vhost=vhost, prefix=f"{vhost}-", passwords={}, consumes={})
    own = topology.partner_definitions(
        vhost=vhost, prefix=f"{vhost}-", name="demo", password="demo", facts=FACTS
    )
    for name, values in own.items():
        wanted[name] = [*wanted[name], *values]
    voice = f"{vhost}-voice"
    wanted["users"].append({"name": voice, "password": "voice", "tags": ""})
    wanted["permissions"].append(
        {"user": voice, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"}
    )
    await topology.apply(servers.management_url, wanted)
    broker = urlsplit(servers.amqp_url)
    user = f"{vhost}-ext-demo"
    async with (
        proxying(servers.amqp_url) as proxy,
        await aio_pika.connect(
            f"amqp://{voice}:voice@{broker.hostname}:{broker.port}/{vhost}"
        ) as connection,
    ):
        channel = await connection.channel()
        stand = PartnerStand(
            user=user,
            state=folder / "partner.json",
            proxy=proxy,
            channel=channel,
            program=program,
            environment={
                "PATH": os.environ["PATH"],
                "CCIB_PARTNER_AMQP_URL": (
                    url := f"amqp://{user}:demo@127.0.0.1:{proxy.port}/{vhost}"
                ),
                "CCIB_PARTNER_QUEUE": "ext.demo.events",
                "CCIB_PARTNER_STATE": str(folder / "partner.json"),
                # The names that the example for partners uses.
                "BROKER": url,
                "QUEUE": "ext.demo.events",
                "DATABASE": str(folder / "partner.db"),
            },
        )
        ear = await channel.declare_queue("test.ear", durable=True)
        await ear.bind(Kind.ANSWER.value, "#")

        async def note(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            stand.answers.append((json.loads(message.body), message))

        await ear.consume(note, no_ack=True)
        await stand.start()
        yield stand
        if stand.process and stand.process.returncode is None:
            await stand.stop(signal.SIGKILL)
