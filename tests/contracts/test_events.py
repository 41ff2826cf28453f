"""What travels on the bus: ids and closed vocabularies, nothing that names or describes a person."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from chassis.catalogue import Personal
from contracts.__main__ import main
from contracts.base import Event
from contracts.directory import MembershipGranted
from contracts.privacy import Erase, ManifestAnnounced
from contracts.registry import all_events, schema_of

SERVICES = sorted(path.parent.name for path in Path("services").glob("*/models.py"))
EVENTS = list(all_events().values())
CLOSED = ("format", "pattern", "enum", "const", "$ref")

DESCRIBES_TABLES = {(ManifestAnnounced, "manifest")}
"""Reviewed: tables and columns, never people."""

REVIEWED = {"notice_version", "purpose", "role"}
"""Values of closed lists: which text was agreed to and for what, what somebody may do for a company."""


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}/{name}")
    for name, child in schema.get("$defs", {}).items():
        yield from nodes(child, f"{path}/{name}")
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            yield from nodes(schema[keyword], f"{path}/*")
    for child in schema.get("anyOf", []):
        yield from nodes(child, path)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_an_event_has_no_free_text(event: type[Event]) -> None:
    for path, node in nodes(event.model_json_schema()):
        if node.get("type") == "string":
            assert any(keyword in node for keyword in CLOSED), f"{event.__name__}{path}"
        if node.get("type") == "object" and node.get("additionalProperties") is True:
            assert (event, path.strip("/")) in DESCRIBES_TABLES, f"{event.__name__}{path}"


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_an_event_carries_nothing_that_a_catalogue_calls_personal(event: type[Event]) -> None:
    personal = {
        column.name
        for service in SERVICES
        for _, column, declared in import_module(f"services.{service}.models").catalogue.columns()
        if isinstance(declared, Personal)
    }
    names = {
        path.rpartition("/")[2]
        for path, node in nodes(event.model_json_schema())
        if node.get("format") not in {"uuid", "date-time"}
    }
    assert not (names & personal) - REVIEWED


def test_events_name_the_people_they_are_about() -> None:
    person = uuid4()
    granted = MembershipGranted(
        membership_id=uuid4(), person_id=person, company_id=uuid4(), community_id=uuid4()
    )
    assert list(granted.people()) == [person]
    assert MembershipGranted.person_fields() == ("person_id",)


def test_an_unknown_field_is_ignored_so_that_producers_may_add_some() -> None:
    granted = MembershipGranted.model_validate(
        {
            "membership_id": str(uuid4()),
            "person_id": str(uuid4()),
            "company_id": str(uuid4()),
            "community_id": str(uuid4()),
            "added_later": 1,
        }
    )
    assert "added_later" not in granted.model_dump()


def test_the_committed_schemas_are_what_the_code_says() -> None:
    assert main(["--check"]) == 0


def test_a_schema_describes_the_whole_message() -> None:
    schema = schema_of(Erase)
    assert schema["properties"]["type"]["const"] == "fr.ccibusiness.privacy.erase.v1"
    assert schema["x-exchange"] == "ccib.commands"
    assert schema["properties"]["data"]["properties"]["subjects"]["maxItems"] == 500
