"""The AsyncAPI 3.0 document of the platform: which message, on which exchange, from whom, for whom.

One document for all applications on the bus, so each operation says whose it is by its name and tag.
It stands alone: no reference leads out of it.
"""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from contracts.base import Event, Kind
from contracts.privacy import Erase, PartnerAcknowledged
from contracts.registry import LISTENERS, PARTNERS, PARTNERS_HEAR, all_events, schema_of
from contracts.samples import sample

Json = dict[str, Any]

CONTENT_TYPE = "application/cloudevents+json"
_BINDING = {"bindingVersion": "0.3.0"}
_PARTNER_QUEUE = "ext.partner.events"
_ABOUT = {
    Kind.FACT: "A fact: something that happened. Nobody is asked for anything.",
    Kind.COMMAND: "A command: it wants an answer, and comes again until there is one.",
    Kind.ANSWER: "Answers to commands. The broker vouches for who speaks (`user_id`).",
}


def document() -> Json:
    """The whole document, as JSON."""
    events = list(all_events().values())
    schemas: Json = {}
    messages = {event.event_type(): _message(event, schemas) for event in events}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "CCI Business",
            "version": _version(),
            "description": (
                "What the services of CCI Business say to each other and to partner systems. Every "
                "message is a CloudEvent 1.0 in structured JSON. It carries opaque ids and words of "
                "closed lists, never a name or an address. Read fields you know, ignore others. How "
                "a partner connects and answers stands in docs/partners.md."
            ),
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "bus": {
                "host": "{host}:5671",
                "pathname": "/{vhost}",
                "protocol": "amqps",
                "protocolVersion": "0.9.1",
                "description": "RabbitMQ. User, password and virtual host come with the admission.",
                "variables": {"host": {"description": "As told by the operator."}, "vhost": {}},
                "security": [{"$ref": "#/components/securitySchemes/user"}],
            }
        },
        "channels": _channels(events),
        "operations": {**_sending(events), **_receiving(), **_partners()},
        "components": {
            "messages": messages,
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"user": {"type": "userPassword"}},
        },
    }


def _version() -> str:
    member = Path(__file__).with_name("pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(member)["project"]["version"])


def _message(event: type[Event], schemas: Json) -> Json:
    """The message; what its schema defines beside itself goes to `schemas`."""
    whole = _pointing(schema_of(event), "#/$defs/", "#/components/schemas/")
    for name, definition in whole.pop("$defs", {}).items():
        if schemas.setdefault(name, definition) != definition:
            raise TypeError(f"two models of events are called {name}")
    own = {name: whole["properties"].pop(name) for name in ("type", "data")}
    schemas["CloudEvent"] = {
        "type": "object",
        "properties": whole["properties"],
        "required": [name for name in whole["required"] if name not in own],
    }
    about = whole["description"]
    return {
        "name": event.event_type(),
        "title": event.__name__,
        "summary": about,
        "contentType": CONTENT_TYPE,
        "payload": {
            "allOf": [
                {"$ref": "#/components/schemas/CloudEvent"},
                {"type": "object", "properties": own, "required": list(own)},
            ]
        },
        "bindings": {"amqp": {"messageType": event.event_type(), **_BINDING}},
        "examples": [{"name": event.fact, "summary": about, "payload": sample(event)}],
    }


def _pointing(node: Any, old: str, new: str) -> Any:
    if isinstance(node, Mapping):
        return {
            key: value.replace(old, new) if key == "$ref" else _pointing(value, old, new)
            for key, value in node.items()
        }
    return [_pointing(one, old, new) for one in node] if isinstance(node, list) else node


def _channels(events: Iterable[type[Event]]) -> Json:
    channels: Json = {}
    for event in events:
        channel = channels.setdefault(
            event.routing_key(),
            {
                "address": event.routing_key(),
                "description": _ABOUT[event.kind],
                "messages": {},
                "bindings": {
                    "amqp": {
                        "is": "routingKey",
                        "exchange": {
                            "name": event.kind.value,
                            "type": "topic",
                            "durable": True,
                            "autoDelete": False,
                        },
                        **_BINDING,
                    }
                },
            },
        )
        channel["messages"][event.event_type()] = _component(event)
    channels[_PARTNER_QUEUE] = {
        "address": "ext.{partner}.events",
        "description": "The queue of one partner system: erasures, and facts about memberships.",
        "parameters": {"partner": {"description": "The name under which it was admitted."}},
        "messages": {event.event_type(): _component(event) for event in PARTNERS_HEAR},
        "bindings": {
            "amqp": {
                "is": "queue",
                "queue": {
                    "name": "ext.{partner}.events",
                    "durable": True,
                    "exclusive": False,
                    "autoDelete": False,
                },
                **_BINDING,
            }
        },
    }
    return dict(sorted(channels.items()))


def _sending(events: Iterable[type[Event]]) -> Json:
    operations = {}
    for event in events:
        # Each service answers for itself, whoever asked.
        everybody = event.kind is Kind.ANSWER and event.owner != PARTNERS
        who = "services" if everybody else event.owner
        operations[f"{who}_send_{_word(event)}"] = _operation(
            "send",
            who,
            event.routing_key(),
            [event],
            {"deliveryMode": 2, "mandatory": True},
        )
    return operations


def _receiving() -> Json:
    return {
        f"{service}_receive_{_word(event)}": _operation(
            "receive", service, event.routing_key(), [event], {"ack": True}
        )
        for service, events in sorted(LISTENERS.items())
        for event in events
    }


def _partners() -> Json:
    facts = [event for event in PARTNERS_HEAR if event is not Erase]
    erase = _operation("receive", PARTNERS, _PARTNER_QUEUE, [Erase], {"ack": True})
    erase["reply"] = {
        "channel": {"$ref": f"#/channels/{PartnerAcknowledged.routing_key()}"},
        "messages": [_on_channel(PartnerAcknowledged.routing_key(), PartnerAcknowledged)],
    }
    return {
        f"{PARTNERS}_receive_{_word(Erase)}": erase,
        f"{PARTNERS}_receive_facts": _operation(
            "receive", PARTNERS, _PARTNER_QUEUE, facts, {"ack": True}
        ),
    }


def _operation(
    action: str, who: str, channel: str, events: Iterable[type[Event]], binding: Json
) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [_on_channel(channel, event) for event in events],
        "tags": [{"name": who}],
        "bindings": {"amqp": {**binding, **_BINDING}},
    }


def _word(event: type[Event]) -> str:
    return f"{event.owner}_{event.fact}_v{event.version}"


def _component(event: type[Event]) -> Json:
    return {"$ref": f"#/components/messages/{event.event_type()}"}


def _on_channel(channel: str, event: type[Event]) -> Json:
    return {"$ref": f"#/channels/{channel}/messages/{event.event_type()}"}
