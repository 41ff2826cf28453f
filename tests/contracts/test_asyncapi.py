"""The AsyncAPI document: valid by the official schema, and true."""

import copy
import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator, ValidationError

from chassis import topology
from contracts.asyncapi import document
from contracts.base import Event
from contracts.privacy import Erase
from contracts.registry import LISTENERS, PARTNERS_HEAR, all_events, schema_of
from contracts.samples import sample
from services.privacy.api.participants import PARTNER_FACTS

SPECIFICATION = json.loads(
    (Path(__file__).parent / "specification" / "asyncapi-3.0.0.json").read_text()
)
DOCUMENT = document()
EVENTS = all_events()


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def resolved(reference: str) -> Any:
    found: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def payload_validator(name: str) -> Draft202012Validator:
    payload = {**DOCUMENT["components"]["messages"][name]["payload"]}
    return Draft202012Validator(
        {**payload, "components": DOCUMENT["components"]},
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )


def test_the_document_is_valid_by_the_official_schema() -> None:
    Draft7Validator(SPECIFICATION).validate(DOCUMENT)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda it: next(iter(it["operations"].values())).update(action="shout"),
        lambda it: next(iter(it["operations"].values())).pop("channel"),
        lambda it: next(iter(it["channels"].values()))["bindings"]["amqp"].pop("exchange"),
        lambda it: next(iter(it["components"]["messages"].values())).update(unknown=1),
        lambda it: it.pop("info"),
    ],
)
def test_the_official_schema_refuses_what_is_wrong(spoil: Any) -> None:
    wrong = copy.deepcopy(DOCUMENT)
    spoil(wrong)
    with pytest.raises(ValidationError):
        Draft7Validator(SPECIFICATION).validate(wrong)


def test_the_document_stands_alone() -> None:
    for reference in references(DOCUMENT):
        assert reference.startswith("#/")
        assert resolved(reference)


@pytest.mark.parametrize("name", EVENTS)
def test_every_example_is_what_its_payload_and_its_schema_say(name: str) -> None:
    [example] = DOCUMENT["components"]["messages"][name]["examples"]
    schema = Draft202012Validator(
        schema_of(EVENTS[name]), format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    for validator in (payload_validator(name), schema):
        validator.validate(example["payload"])
        for spoilt in (
            {**example["payload"], "type": "another"},
            {**example["payload"], "subject": "no spaces"},
            {**example["payload"], "data": {}},
            {key: value for key, value in example["payload"].items() if key != "data"},
        ):
            assert not validator.is_valid(spoilt)


@pytest.mark.parametrize("name", EVENTS)
def test_an_example_is_what_our_own_classes_read(name: str) -> None:
    told = sample(EVENTS[name])
    event = EVENTS[name].model_validate(told["data"])
    assert event.model_dump(mode="json") == told["data"]
    assert event.subject == told["subject"]


@pytest.mark.parametrize("service", LISTENERS)
def test_who_listens_is_what_the_wiring_says(service: str) -> None:
    wired = import_module(f"services.{service}.wiring").SERVICE
    listens = {*wired.handlers, *wired.answers, Erase}
    assert set(LISTENERS[service]) == listens, "write it into LISTENERS in contracts/registry.py"


def test_every_service_is_there() -> None:
    assert set(LISTENERS) == {path.parent.name for path in Path("services").glob("*/wiring.py")}


def test_exchanges_keys_and_rights_are_those_of_the_broker() -> None:
    made = topology.definitions(vhost="v", passwords=dict.fromkeys(LISTENERS, "x"), consumes={})
    own = topology.partner_definitions(vhost="v", name="partner", password="x", facts=PARTNER_FACTS)
    exchanges = {one["name"]: (one["type"], one["durable"]) for one in made["exchanges"]}
    for channel in DOCUMENT["channels"].values():
        amqp = channel["bindings"]["amqp"]
        if amqp["is"] == "routingKey":
            told = amqp["exchange"]
            assert exchanges[told["name"]] == (told["type"], told["durable"])
    [queue] = own["queues"]
    heard = DOCUMENT["channels"][queue["name"]]["messages"]
    bound = {(one["source"], one["routing_key"]) for one in own["bindings"]}
    assert {(EVENTS[name].kind.value, EVENTS[name].routing_key()) for name in heard} == bound
    reply = DOCUMENT["operations"]["partner_receive_privacy_erase_v1"]["reply"]
    [right] = own["topic_permissions"]
    assert right["write"] == f"^{resolved(reply['channel']['$ref'])['address']}$"


def test_partners_hear_what_the_document_says() -> None:
    assert set(PARTNERS_HEAR) == {Erase, *PARTNER_FACTS}


def test_every_event_is_sent_by_its_owner() -> None:
    sent: set[type[Event]] = set()
    for operation in DOCUMENT["operations"].values():
        if operation["action"] == "send":
            names = [reference["$ref"].rpartition("/")[2] for reference in operation["messages"]]
            sent |= {EVENTS[name] for name in names}
    assert sent == set(EVENTS.values())
