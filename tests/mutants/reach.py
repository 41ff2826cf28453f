"""Who hears what and may say what, worked out from the broker's definitions as RabbitMQ would."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from chassis import topology
from contracts.base import Event, Kind
from contracts.privacy import Erase, ErasureAcknowledged, ManifestAnnounced
from contracts.registry import LISTENERS

Wired = Mapping[str, Collection[type[Event]]]
"""By service, the events for which it has a handler."""


def missing(definitions: Mapping[str, Any], wired: Wired) -> list[str]:
    """Everything that somebody needs and does not have; by `LISTENERS`, which the contracts publish."""
    return [*_unheard(definitions, wired), *_unsaid(definitions), *_lost(definitions)]


def _unheard(definitions: Mapping[str, Any], wired: Wired) -> Iterator[str]:
    queues = {one["name"] for one in definitions["queues"]}
    for service, events in LISTENERS.items():
        yield from (f"no queue {q}" for q in topology.needed_queues(service) if q not in queues)
        reads = _right(definitions, service, "read")
        for event in events:
            if event is not Erase and event not in wired[service]:
                yield f"{service} has no handler for {event.__name__}"
            bound = {
                one["destination"]
                for one in definitions["bindings"]
                if one["source"] == event.kind.value
                and _matches(one["routing_key"], event.routing_key())
                and one["destination"].startswith(f"{service}.")
            }
            if not any(one in queues and re.fullmatch(reads, one) for one in bound):
                yield f"{service} does not hear {event.__name__}"


def _unsaid(definitions: Mapping[str, Any]) -> Iterator[str]:
    exchanges = {one["name"] for one in definitions["exchanges"]}
    yield from (f"no exchange {kind.value}" for kind in Kind if kind.value not in exchanges)
    said = {event for events in LISTENERS.values() for event in events if event.kind is Kind.FACT}
    said |= {Erase}
    answers = {ErasureAcknowledged, ManifestAnnounced}
    for service in LISTENERS:
        writes = _right(definitions, service, "write")
        limits = {
            one["exchange"]: one["write"]
            for one in definitions["topic_permissions"]
            if one["user"] == service
        }
        for event in {one for one in said if one.owner == service} | answers:
            limit = limits.get(event.kind.value, ".*")
            if not re.fullmatch(writes, event.kind.value) or not re.search(
                limit, event.routing_key()
            ):
                yield f"{service} may not say {event.__name__}"
        for kind in Kind:
            # Without an entry RabbitMQ allows every key.
            if re.fullmatch(writes, kind.value) and kind.value not in limits:
                yield f"{service} may say anything on {kind.value}"


def _lost(definitions: Mapping[str, Any]) -> Iterator[str]:
    """Messages that would vanish: unroutable facts, dead letters, what is aimed at nothing."""
    queues = {one["name"]: one["arguments"] for one in definitions["queues"]}
    exchanges = {one["name"] for one in definitions["exchanges"]}
    bound = {
        (one["source"], one["routing_key"])
        for one in definitions["bindings"]
        if one["destination"] in queues and one["source"] in exchanges
    }
    for name, arguments in queues.items():
        target = arguments.get("x-dead-letter-exchange")
        if target and (target, arguments["x-dead-letter-routing-key"]) not in bound:
            yield f"dead letters of {name} go nowhere"
    alternates = {
        policy["definition"]["alternate-exchange"]
        for policy in definitions["policies"]
        if "alternate-exchange" in policy["definition"]
        and re.fullmatch(policy["pattern"], Kind.FACT.value)
    }
    if not any((exchange, "") in bound for exchange in alternates):
        yield "facts that nobody hears are lost"


def _right(definitions: Mapping[str, Any], user: str, right: str) -> str:
    return next((str(p[right]) for p in definitions["permissions"] if p["user"] == user), "^$")


def _matches(pattern: str, key: str) -> bool:
    """RabbitMQ's topic patterns, as far as ours go."""
    return pattern in ("#", key)
