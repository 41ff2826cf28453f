"""What exists on the broker, generated from the code: exchanges, queues, users and what each may do.

Services configure nothing: an operator (or the local stack) imports these definitions, and each
service checks at its start that it finds what it needs. What cannot change on a living queue - its
type, its dead letters - is an argument; lengths and times, which operators change, are policies.
"""

import asyncio
import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import aio_pika
import httpx2
from aio_pika.exceptions import AMQPError

from chassis.addresses import split_authority
from chassis.bus import connect
from chassis.trust import only
from contracts.base import Event, Kind
from contracts.privacy import Erase, ErasureAcknowledged, ManifestAnnounced, PartnerAcknowledged

UNROUTED = "ccib.unrouted"
"""Facts that nobody listens to; anything in it is worth a look."""
DEAD = "ccib.dead"
"""The exchange of dead letters; the routing key is the service that could not take the message."""

DELIVERY_LIMIT = 10
"""Deliveries after which a message is poison: a process that dies of it delivers no answer."""
KEPT = 2**31 - 1
"""A delivery limit for queues that people look into: looking must not use the message up."""
DAY_MS = 24 * 3600 * 1000

_ANSWERS = "|".join(
    sorted({event.routing_key() for event in (ErasureAcknowledged, ManifestAnnounced)})
)


class TopologyError(Exception):
    """The broker lacks something this service needs; the message lists everything that is wrong."""


def definitions(
    *,
    vhost: str,
    passwords: Mapping[str, str],
    consumes: Mapping[str, Iterable[type[Event]]],
    prefix: str = "",
) -> dict[str, Any]:
    """Everything of the five services, in the format of RabbitMQ's definitions import.

    `passwords` by service: one user each, named with `prefix`. `consumes`: the facts each listens to.
    """
    queues = [_queue(vhost, UNROUTED, delivery_limit=KEPT)]
    bindings = [_binding(vhost, source=UNROUTED, queue=UNROUTED, key="")]
    users, permissions, topics = [], [], []
    for service, password in passwords.items():
        facts = [event for event in consumes.get(service, ()) if event.kind is Kind.FACT]
        sources = {
            f"{service}.events": (Kind.FACT, [event.routing_key() for event in facts]),
            f"{service}.erasure": (Kind.COMMAND, [Erase.routing_key()]),
        }
        if service == Erase.owner:
            sources[f"{service}.acks"] = (Kind.ANSWER, ["#"])
        for queue, (exchange, keys) in sources.items():
            single = exchange is not Kind.COMMAND  # erasures commute: replicas share them
            queues.append(_queue(vhost, queue, dead_letters=service, single_active=single))
            bindings += [_binding(vhost, source=exchange, queue=queue, key=key) for key in keys]
        queues.append(_queue(vhost, f"{service}.dead", delivery_limit=KEPT))
        bindings.append(_binding(vhost, source=DEAD, queue=f"{service}.dead", key=service))
        writes = {Kind.FACT: rf"^{service}\.", Kind.ANSWER: f"^({_ANSWERS})$"}
        if service == Erase.owner:
            writes[Kind.COMMAND] = rf"^{service}\."
        user, rights, keys_allowed = _user(
            vhost=vhost,
            name=f"{prefix}{service}",
            password=password,
            reads=[*sources, f"{service}.dead"],
            writes=writes,
        )
        users.append(user)
        permissions.append(rights)
        topics += keys_allowed
    return {
        "vhosts": [{"name": vhost}],
        "users": users,
        "permissions": permissions,
        "topic_permissions": topics,
        "exchanges": [
            *(_exchange(vhost, kind.value, "topic") for kind in Kind),
            _exchange(vhost, UNROUTED, "fanout"),
            _exchange(vhost, DEAD, "direct"),
        ],
        "queues": queues,
        "bindings": bindings,
        "policies": [
            _policy(vhost, "unrouted", Kind.FACT, {"alternate-exchange": UNROUTED}, "exchanges"),
            _policy(vhost, "unrouted-kept", UNROUTED, {"message-ttl": 30 * DAY_MS}),
            _policy(
                vhost, "dead-kept", "dead", {"message-ttl": 30 * DAY_MS}, pattern=r"^[a-z]+\.dead$"
            ),
        ],
    }


def partner_definitions(
    *,
    vhost: str,
    name: str,
    password: str,
    facts: Iterable[type[Event]] = (),
    prefix: str = "",
    max_messages: int = 100_000,
) -> dict[str, Any]:
    """A partner system: one user and one queue, which gets every erasure and the given facts.

    The queue drops its oldest messages when it is full, so that a dead partner holds up nobody. No
    erasure is lost by that: its step stays open, and the command is sent again until it is answered.
    """
    queue = f"ext.{name}.events"
    user, rights, topics = _user(
        vhost=vhost,
        name=f"{prefix}ext-{name}",
        password=password,
        reads=[queue],
        writes={Kind.ANSWER: f"^{PartnerAcknowledged.routing_key()}$"},
    )
    wanted: list[type[Event]] = [Erase, *facts]
    return {
        "users": [user],
        "permissions": [rights],
        "topic_permissions": topics,
        "queues": [_queue(vhost, queue)],
        "bindings": [
            _binding(vhost, source=event.kind, queue=queue, key=event.routing_key())
            for event in wanted
        ],
        "policies": [
            _policy(vhost, f"ext-{name}", queue, {"max-length": max_messages}),
        ],
    }


async def apply(management_url: str, wanted: Mapping[str, Any]) -> None:
    """Import definitions; what exists and is the same stays as it is.

    `management_url` carries an administrator's user and password, and the authority to believe
    (`chassis.addresses`). Raises `TopologyError` with the
    broker's reason.
    """
    async with _management(management_url) as client:
        for vhost in wanted.get("vhosts", ()):
            await _done(await client.put(f"/api/vhosts/{_escape(vhost['name'])}"))
        await _done(await client.post("/api/definitions", json=dict(wanted)))


async def settle_partner(management_url: str, wanted: Mapping[str, Any]) -> None:
    """Make a partner's place, or mend it: from now on its password is the one of `wanted`.

    Connections that came with an earlier password end. A policy that is there stays as operators
    left it. Can be repeated. Raises `TopologyError` with the broker's reason.
    """
    (user,), (policy,) = wanted["users"], wanted["policies"]
    async with _management(management_url) as client:
        path = f"/api/policies/{_escape(policy['vhost'])}/{_escape(policy['name'])}"
        kept = (await client.get(path)).is_success
    await apply(management_url, {**wanted, "policies": []} if kept else wanted)
    async with _management(management_url) as client:
        await _done(
            await client.delete(
                f"/api/connections/username/{_escape(user['name'])}",
                headers={"X-Reason": "another password"},
            )
        )


async def remove_partner(management_url: str, *, vhost: str, name: str, prefix: str = "") -> None:
    """Take a partner's user, queue and policy away; what is gone already is no error."""
    async with _management(management_url) as client:
        for path in (
            f"/api/users/{_escape(f'{prefix}ext-{name}')}",
            f"/api/queues/{_escape(vhost)}/{_escape(f'ext.{name}.events')}",
            f"/api/policies/{_escape(vhost)}/{_escape(f'ext-{name}')}",
        ):
            answer = await client.delete(path)
            if answer.status_code != 404:
                await _done(answer)


async def check(amqp_url: str, *, service: str, management_url: str | None = None) -> None:
    """Find everything this service needs on the broker, and its permissions, without changing it.

    With a management URL, the types and dead letters of its queues too. Raises `TopologyError`
    listing all that is wrong, and aio-pika's `AMQPConnectionError` when the broker is not there.
    """
    probe = _Probe(amqp_url)
    exchanges = {Kind.FACT: f"{service}.probe", Kind.ANSWER: ErasureAcknowledged.routing_key()}
    queues = needed_queues(service)
    if service == Erase.owner:
        exchanges[Kind.COMMAND] = Erase.routing_key()
    wrong = [
        *[await probe.write(exchange, key) for exchange, key in exchanges.items()],
        *[await probe.read(queue) for queue in queues],
        *[await probe.exists(exchange) for exchange in (DEAD, UNROUTED)],
    ]
    if management_url:
        vhost = unquote(urlsplit(amqp_url).path[1:]) or "/"
        wrong += await _wrong_arguments(management_url, vhost=vhost, queues=queues[:2])
    if found := [one for one in wrong if one]:
        raise TopologyError(f"{service}: " + "; ".join(found))


def needed_queues(service: str) -> list[str]:
    """The queues without which a service does not start."""
    queues = [f"{service}.events", f"{service}.erasure", f"{service}.dead"]
    return [*queues, f"{service}.acks"] if service == Erase.owner else queues


class _Probe:
    """Asks the broker for something that it must refuse - but only once permission was checked.

    Nothing is published, consumed or declared: a publish in somebody else's name and a consumer with
    a malformed priority are refused as `PRECONDITION_FAILED` when, and only when, the exchange or
    queue exists and the user may use it. The broker closes a channel with each refusal.
    """

    def __init__(self, amqp_url: str) -> None:
        self._url = amqp_url

    async def write(self, exchange: str, routing_key: str) -> str | None:
        message = aio_pika.Message(b"", user_id="not-me")

        async def publish(channel: aio_pika.abc.AbstractChannel) -> None:
            target = await channel.get_exchange(exchange, ensure=False)
            await target.publish(message, routing_key, timeout=10)

        return await self._ask(publish)

    async def read(self, queue: str) -> str | None:
        async def consume(channel: aio_pika.abc.AbstractChannel) -> None:
            source = await channel.get_queue(queue, ensure=False)
            await source.consume(_ignore, arguments={"x-priority": "none"}, timeout=10)

        return await self._ask(consume)

    async def exists(self, exchange: str) -> str | None:
        async def declare(channel: aio_pika.abc.AbstractChannel) -> None:
            await channel.get_exchange(exchange, ensure=True)

        return await self._ask(declare)

    async def _ask(self, question: Any) -> str | None:
        """What is wrong in the broker's words, or None."""
        async with await connect(self._url, purpose="check") as connection:
            try:
                async with asyncio.timeout(15):
                    await question(await connection.channel())
            except AMQPError as error:
                reason = str(error)
                if "PRECONDITION_FAILED" in reason:
                    return None
                return reason
        return None


async def _ignore(message: aio_pika.abc.AbstractIncomingMessage) -> None:
    """Never called: the consumer is refused."""


async def _wrong_arguments(
    management_url: str, *, vhost: str, queues: Iterable[str]
) -> list[str | None]:
    wrong: list[str | None] = []
    async with _management(management_url) as client:
        for queue in queues:
            answer = await client.get(f"/api/queues/{_escape(vhost)}/{_escape(queue)}")
            arguments = answer.json().get("arguments", {}) if answer.status_code == 200 else {}
            service = queue.partition(".")[0]
            expected = _queue(vhost, queue, dead_letters=service)["arguments"]
            wrong += [
                f"queue '{queue}': {name} is {arguments.get(name)!r}, not {value!r}"
                for name, value in expected.items()
                if arguments.get(name) != value
            ]
    return wrong


def _management(url: str) -> httpx2.AsyncClient:
    base_url, ca_file = split_authority(url)
    return httpx2.AsyncClient(base_url=base_url, timeout=30, verify=only(ca_file))


async def _done(answer: httpx2.Response) -> None:
    if answer.is_error:
        raise TopologyError(f"the broker refused {answer.request.url.path}: {answer.text}")


def _escape(name: str) -> str:
    return name.replace("%", "%25").replace("/", "%2F")


def _exchange(vhost: str, name: str, kind: str) -> dict[str, Any]:
    return {
        "vhost": vhost,
        "name": name,
        "type": kind,
        "durable": True,
        "auto_delete": False,
        "internal": False,
        "arguments": {},
    }


def _queue(
    vhost: str,
    name: str,
    *,
    dead_letters: str | None = None,
    single_active: bool = False,
    delivery_limit: int = DELIVERY_LIMIT,
) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "x-queue-type": "quorum",
        "x-delivery-limit": delivery_limit,
    }
    if dead_letters:
        arguments |= {
            "x-dead-letter-exchange": DEAD,
            "x-dead-letter-routing-key": dead_letters,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",  # what at-least-once needs
        }
    if single_active:
        arguments["x-single-active-consumer"] = True
    return {
        "vhost": vhost,
        "name": name,
        "durable": True,
        "auto_delete": False,
        "arguments": arguments,
    }


def _binding(vhost: str, *, source: str, queue: str, key: str) -> dict[str, Any]:
    return {
        "vhost": vhost,
        "source": str(source),
        "destination": queue,
        "destination_type": "queue",
        "routing_key": key,
        "arguments": {},
    }


def _policy(
    vhost: str,
    name: str,
    target: str,
    settings: Mapping[str, Any],
    applies_to: str = "queues",
    *,
    pattern: str | None = None,
) -> dict[str, Any]:
    return {
        "vhost": vhost,
        "name": name,
        "pattern": pattern or f"^{re.escape(target)}$",
        "apply-to": applies_to,
        "definition": dict(settings),
        "priority": 0,
    }


def _user(
    *, vhost: str, name: str, password: str, reads: Iterable[str], writes: Mapping[Kind, str]
) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """A user who may configure nothing; for each exchange, the routing keys it may write."""
    user = {
        "name": name,
        "password_hash": _password_hash(name, password),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": [],
    }
    rights = {
        "user": name,
        "vhost": vhost,
        "configure": "^$",
        "write": _any_of(kind.value for kind in writes),
        "read": _any_of(reads),
    }
    topics = [
        {"user": name, "vhost": vhost, "exchange": kind.value, "write": keys, "read": "^$"}
        for kind, keys in writes.items()
    ]
    return user, rights, topics


def _any_of(names: Iterable[str]) -> str:
    return f"^({'|'.join(re.escape(name) for name in names)})$"


def _password_hash(name: str, password: str) -> str:
    """RabbitMQ's salted SHA-256; the salt is derived, so that the same input gives the same file."""
    salt = hashlib.sha256(f"{name}:{password}".encode()).digest()[:4]
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
