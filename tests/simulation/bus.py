"""The broker, simulated: the real topology, messages that are real to whoever takes them.

It routes by the bindings that `chassis.topology` generates, so that a queue gets what it would get.
Everything else is up to whoever drives it: which message is next, how many at once, whether the
broker hears the acknowledgement.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from chassis.bus import Outcome


@dataclass(eq=False, kw_only=True)
class Message:
    """What `aio_pika.IncomingMessage` is to the chassis."""

    body: bytes
    exchange: str
    routing_key: str
    message_id: str
    user_id: str
    headers: dict[str, Any] = field(default_factory=dict)
    redelivered: bool = False
    settle: Callable[..., None] = lambda *_, **__: None

    async def ack(self, *, multiple: bool = False) -> None:
        self.settle(self, multiple=multiple)

    async def reject(self, *, requeue: bool = False) -> None:
        raise AssertionError(f"dead-lettered: {self.body[:300]!r} requeue={requeue}")


class Handed:
    """A source (`chassis.consuming.Source`) that has these messages and no more."""

    def __init__(self, messages: list[Message]) -> None:
        self.lost = asyncio.Event()
        self._messages = messages

    async def take(self, limit: int, _: asyncio.Event) -> list[Message]:
        taken, self._messages = self._messages[:limit], self._messages[limit:]
        return taken


class Broker:
    """Queues, and what is in them."""

    def __init__(self, definitions: dict[str, Any], *, heard: Callable[[Message], None]) -> None:
        self.queues: dict[str, list[Message]] = {one["name"]: [] for one in definitions["queues"]}
        self._bindings = list(definitions["bindings"])
        self._heard = heard

    def add(self, definitions: dict[str, Any]) -> None:
        """A partner's queue and bindings."""
        self.queues.update({one["name"]: [] for one in definitions["queues"]})
        self._bindings += definitions["bindings"]

    def remove(self, queue: str) -> None:
        """A partner's queue goes, with what is in it."""
        self.queues.pop(queue, None)
        self._bindings = [one for one in self._bindings if one["destination"] != queue]

    def publish(self, exchange: str, routing_key: str, body: bytes, *, user: str) -> Outcome:
        """Put a message into every queue that is bound for it."""
        queues = [
            one["destination"]
            for one in self._bindings
            if one["source"] == exchange and one["routing_key"] in ("#", routing_key)
        ]
        message = Message(
            body=body,
            exchange=exchange,
            routing_key=routing_key,
            message_id=str(uuid4()),
            user_id=user,
        )
        self._heard(message)
        for queue in queues:
            self.queues[queue].append(replace(message, headers={}))
        # Facts that nobody wants have an alternate exchange; commands and answers must be wanted.
        return Outcome.ACKNOWLEDGED if queues or exchange == "ccib.events" else Outcome.RETURNED

    def hand_over(self, queue: str, places: list[int], *, keep: bool) -> Handed:
        """Deliver the messages at these places, in this order; `keep`: no acknowledgement is heard.

        What is not acknowledged stays, and counts as delivered.
        """
        held = self.queues[queue]
        chosen = [held[place % len(held)] for place in places if held]
        chosen = list(dict.fromkeys(chosen))
        handed = [replace(one, headers=dict(one.headers)) for one in chosen]
        original = dict(zip(map(id, handed), chosen, strict=True))

        def settle(message: Message, *, multiple: bool) -> None:
            until = handed.index(message)
            for one in handed[: until + 1] if multiple else [message]:
                if not keep and original[id(one)] in held:
                    held.remove(original[id(one)])

        for one in handed:
            one.settle = settle
        for one in chosen:  # should it come again
            one.headers["x-delivery-count"] = one.headers.get("x-delivery-count", -1) + 1
            one.redelivered = True
        return Handed(handed)


class Line:
    """What the relay publishes on (`chassis.bus.Publisher`), as one service's user."""

    broken = suspicious = False

    def __init__(self, broker: Broker, user: str) -> None:
        self._broker, self._user = broker, user

    async def publish(self, exchange: str, routing_key: str, body: bytes, _: str) -> Outcome:
        return self._broker.publish(exchange, routing_key, body, user=self._user)
