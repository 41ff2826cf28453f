"""The other services, played with their own broker users and keys: honest unless told otherwise."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import aio_pika
from joserfc.jwk import ECKey
from prometheus_client import generate_latest

from chassis import clock
from chassis.auth import Role
from chassis.evidence import digest, load_key, sign
from chassis.ids import new_id
from contracts.base import Kind
from contracts.identity import AccountLocked
from contracts.privacy import (
    Erase,
    ErasureAcknowledged,
    ErasureCompleted,
    ManifestAnnounced,
    PartnerAcknowledged,
)
from tests.stand import Stand

Data = dict[str, Any]


def a_manifest(service: str) -> Data:
    """One table whose rows go, one whose rows stay for the tax office, one about nobody."""
    named = {"purpose": "Être trouvé", "basis": "consent", "recipients": ["platform"]}
    hold = {"rule": "accounting", "source": "Code de commerce, art. L123-22", "days": 3650}
    name = {
        "kind": "personal",
        "category": "identity",
        "label": f"Nom ({service})",
        "mandatory": True,
        "of": "person_id",
    }
    return {
        "service": service,
        "schema_hash": "0" * 64,
        "tables": {
            "profile": {
                "subjects": {"person_id": {**named, "fate": "delete", "retention": "account"}},
                "columns": {"last_name": name},
            },
            "invoice": {
                "subjects": {
                    "person_id": {**named, "fate": "keep", "retention": "10 ans", "hold": hold}
                },
                "columns": {"issued_at": {"kind": "not_personal", "why": "a date"}},
            },
            "commune": {
                "subjects": {},
                "columns": {"code": {"kind": "not_personal", "why": "a code"}},
            },
        },
    }


def evidence(erasure_id: UUID | str, *, outcome: str = "erased", **tables: Data) -> Data:
    """What an honest service shows about one person."""
    shown = {"profile": {"deleted": 1}, "invoice": {}, **tables}
    return {
        "erasure_id": str(erasure_id),
        "outcome": outcome,
        "tables": {
            name: {"deleted": 0, "detached": 0, "kept": [], **counts}
            for name, counts in shown.items()
        },
    }


@dataclass(kw_only=True)
class Speaker:
    """Somebody with a broker user of their own."""

    name: str
    user: str
    channel: aio_pika.abc.AbstractChannel

    async def put(
        self, event_type: str, subject: str, data: Data, changes: Mapping[str, Any] | None = None
    ) -> None:
        """Publish an answer that says this, true or not; `changes` are members of the envelope."""
        envelope = {
            "specversion": "1.0",
            "id": str(new_id()),
            "source": f"/services/{self.name}",
            "type": event_type,
            "subject": subject,
            "time": clock.now().isoformat(),
            "data": data,
        }
        key = "manifest_announced" if "manifest" in event_type else "erasure_acknowledged"
        await self.publish(json.dumps({**envelope, **(changes or {})}).encode(), key)

    async def publish(
        self,
        body: bytes,
        routing_key: str,
        *,
        exchange: Kind = Kind.ANSWER,
        anonymous: bool = False,
    ) -> None:
        """Publish bytes with this user; raises what the broker refuses."""
        target = await self.channel.get_exchange(exchange.value, ensure=False)
        message = aio_pika.Message(body, user_id=None if anonymous else self.user)
        await target.publish(message, routing_key, timeout=10)


@dataclass(kw_only=True)
class Actor(Speaker):
    """A service that takes part in erasures."""

    key: ECKey
    manifest: Data
    silent: bool = False
    commands: list[Erase] = field(default_factory=list)

    async def announce(self, manifest: Data | None = None, **changes: Any) -> None:
        """Say what it holds."""
        held = self.manifest if manifest is None else manifest
        statement = {
            "participant": self.name,
            "manifest_hash": digest(held),
            "manifest": held,
            **changes,
        }
        await self.put(
            ManifestAnnounced.event_type(),
            statement["manifest_hash"],
            {**statement, "signature": sign(statement, self.key)},
        )

    def statement(self, command: Erase, **changes: Any) -> Data:
        """The honest answer, before it is signed."""
        return {
            "broadcast_id": str(command.broadcast_id),
            "position": command.position,
            "entry_hash": command.entry_hash,
            "participant": self.name,
            "manifest_hash": digest(self.manifest),
            "subjects": [evidence(subject.erasure_id) for subject in command.subjects],
            **changes,
        }

    async def acknowledge(self, command: Erase, **changes: Any) -> None:
        """Answer, honestly but for the changes."""
        await self.swear(self.statement(command, **changes))

    async def swear(self, statement: Data, *, key: ECKey | None = None, **after: Any) -> None:
        """Sign a statement and publish it; `after` changes it once it is signed."""
        signed = {**statement, "signature": sign(statement, key or self.key), **after}
        await self.put(ErasureAcknowledged.event_type(), signed["broadcast_id"], signed)

    async def commanded(self, erasure_id: UUID, *, times: int = 1) -> Erase:
        """The command that names this erasure, once it has come so often."""
        for _ in range(500):
            found = [
                command
                for command in self.commands
                if any(subject.erasure_id == erasure_id for subject in command.subjects)
            ]
            if len(found) >= times:
                return found[-1]
            await asyncio.sleep(0.02)
        raise AssertionError(f"{self.name} was not told {times} times to erase {erasure_id}")

    async def _hear(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        command = Erase.model_validate(json.loads(message.body)["data"])
        self.commands.append(command)
        if not self.silent:
            await self.acknowledge(command)
        await message.ack()


@dataclass(kw_only=True)
class Partner(Speaker):
    """A partner system with the credentials that the API gave."""

    credentials: Data

    async def next_command(self) -> Erase:
        """The next erase command in its queue."""
        queue = await self.channel.get_queue(self.credentials["queue"], ensure=False)
        for _ in range(500):
            message = await queue.get(fail=False)
            if message is not None:
                await message.ack()
                body = json.loads(message.body)
                if body["type"] == Erase.event_type():
                    return Erase.model_validate(body["data"])
                continue
            await asyncio.sleep(0.02)
        raise AssertionError(f"{self.name} was not told")

    async def give_word(self, command: Erase, *subjects: Data, **changes: Any) -> None:
        """Answer: that everybody is erased, or what `subjects` say."""
        said = subjects or [
            {"erasure_id": str(subject.erasure_id), "outcome": "erased"}
            for subject in command.subjects
        ]
        data = {
            "position": command.position,
            "entry_hash": command.entry_hash,
            "subjects": list(said),
            **changes,
        }
        await self.put(PartnerAcknowledged.event_type(), command.entry_hash, data)


@dataclass(kw_only=True)
class Troupe:
    """Everybody but privacy."""

    actors: dict[str, Actor]

    def __getitem__(self, name: str) -> Actor:
        return self.actors[name]

    @contextmanager
    def silent(self, *names: str) -> Iterator[Actor]:
        """Nobody of these answers by itself inside the block; yields the first."""
        for name in names:
            self.actors[name].silent = True
        try:
            yield self.actors[names[0]]
        finally:
            for name in names:
                self.actors[name].silent = False


@asynccontextmanager
async def playing(stand: Stand, services: Iterable[str]) -> AsyncIterator[Troupe]:
    """Play these services beside privacy, each on its own connection."""
    actors: dict[str, Actor] = {}
    connections = []
    try:
        for name in services:
            user = f"{stand.vhost}-{name}"
            password = (stand.layout.secrets / f"{name}.password").read_text()
            connections.append(await connected(stand, user=user, password=password))
            channel = await connections[-1].channel()
            actor = actors[name] = Actor(
                name=name,
                user=user,
                channel=channel,
                key=load_key(stand.layout.secrets / name / "evidence.pem"),
                manifest=a_manifest(name),
            )
            await actor.announce()
            queue = await channel.get_queue(f"{name}.erasure", ensure=False)
            await queue.consume(actor._hear)
        for name in actors:
            await stand.eventually("SELECT count(*) FROM manifest WHERE participant = $1", name)
        yield Troupe(actors=actors)
    finally:
        for connection in connections:
            await connection.close()


async def connected(stand: Stand, *, user: str, password: str) -> aio_pika.abc.AbstractConnection:
    """A connection to the stand's broker as that user."""
    where = urlsplit(stand.settings.amqp_url)
    return await aio_pika.connect(
        f"amqp://{user}:{password}@{where.hostname}:{where.port}{where.path}"
    )


async def ask(
    stand: Stand, person: UUID | None = None, *, erasure_id: UUID | None = None, **more: Any
) -> UUID:
    """Somebody asks to be deleted, as identity tells it; returns the erasure's id."""
    wish = AccountLocked(
        account_id=person or new_id(),
        erasure_id=erasure_id or new_id(),
        requested_at=more.get("requested_at", clock.now()),
    )
    await stand.say(wish)
    return wish.erasure_id


async def completed(stand: Stand, erasure_id: UUID) -> None:
    """Wait until everybody has proven it."""
    await stand.hear(ErasureCompleted, erasure_id=erasure_id)


async def state(stand: Stand, erasure_id: UUID) -> Data:
    """What the DPO reads about an erasure."""
    answer = await stand.client.get(f"/api/privacy/erasures/{erasure_id}", headers=dpo(stand))
    assert answer.status_code == 200, answer.text
    found: Data = answer.json()
    return found


def dpo(stand: Stand) -> dict[str, str]:
    """Headers of a data protection officer."""
    return stand.token(new_id(), roles=[Role.DPO])


def open_steps(view: Mapping[str, Any]) -> list[str]:
    """Who has not proven anything yet."""
    return [step["participant"] for step in view["steps"] if step["outcome"] is None]


async def refused(
    stand: Stand, cause: str, *, position: int | None = None, sender: str | None = None
) -> Data:
    """The newest refusal of that cause, position and sender, in the DPO's list."""
    found: list[Data] = []
    for _ in range(500):
        answer = await stand.client.get("/api/privacy/refusals?limit=100", headers=dpo(stand))
        found = answer.json()
        for refusal in found:
            if (
                refusal["cause"] == cause
                and position in (None, refusal["position"])
                and sender in (None, refusal["sender"])
            ):
                return refusal
        await asyncio.sleep(0.02)
    raise AssertionError(f"no refusal for {cause} at {position}: {found[:3]}")


def answers_uncalled() -> float:
    """How many right answers came from somebody who had not been asked."""
    text = generate_latest().decode()
    [line] = [one for one in text.splitlines() if one.startswith("erasure_answers_uncalled_total")]
    return float(line.split()[1])
