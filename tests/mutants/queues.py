"""Mutants of the broker's definitions and of the wiring: who would not hear."""

import copy
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from chassis import topology
from contracts.base import Event
from contracts.registry import LISTENERS
from tests.mutants import reach
from tests.mutants.kinds import Catch, Caught, Mutant, Result

Definitions = dict[str, Any]


def wired() -> dict[str, set[type[Event]]]:
    """The events that each service handles."""
    services = {name: import_module(f"services.{name}.wiring").SERVICE for name in LISTENERS}
    return {name: {*one.handlers, *one.answers} for name, one in services.items()}


def definitions(handled: reach.Wired) -> Definitions:
    """What an operator imports for services that handle these events."""
    return topology.definitions(
        vhost="/", passwords=dict.fromkeys(handled, "mutant"), consumes=handled
    )


def mutants(whole: Definitions) -> Iterator[tuple[Mutant, Definitions]]:
    """The definitions without one queue, binding, exchange or right; with the mutant's name."""
    for kind, part in (
        ("queue not defined", "queues"),
        ("binding not defined", "bindings"),
        ("exchange not defined", "exchanges"),
        ("permission not given", "permissions"),
        ("keys not allowed", "topic_permissions"),
    ):
        for number, one in enumerate(whole[part]):
            fewer = copy.deepcopy(whole)
            del fewer[part][number]
            name = " ".join(
                str(one[key])
                for key in ("source", "routing_key", "destination", "name", "user", "exchange")
                if key in one
            )
            owner = one.get("destination") or one.get("user") or one["name"]
            service = owner.partition(".")[0]
            yield Mutant(kind, service if service in LISTENERS else "ccib", name), fewer


def run() -> list[Result]:
    """Look through each of the spoilt definitions, and each wiring without one of its handlers."""
    handled = wired()
    whole = definitions(handled)
    alarm = reach.missing(whole, handled)
    assert not alarm, f"a false alarm: {alarm}"
    found = []

    def tried(mutant: Mutant, wrong: list[str], test: str) -> None:
        caught = Caught(Catch.BUILD, wrong[0]) if wrong else None
        found.append(Result(mutant, caught, test))

    for mutant, fewer in mutants(whole):
        name = "test_everybody_hears_and_may_say_what_they_must"
        tried(mutant, reach.missing(fewer, handled), f"tests/mutants/test_queues.py::{name}")
    for service, events in handled.items():
        for event in sorted(events, key=lambda one: one.__name__):
            left = {**handled, service: events - {event}}
            tried(
                Mutant("handler not wired", service, event.__name__),
                reach.missing(definitions(left), left),
                f"tests/contracts/test_asyncapi.py::test_who_listens_is_what_the_wiring_says[{service}]",
            )
    return found
