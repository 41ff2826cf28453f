"""What travels on the bus: ids and closed vocabularies, nothing that names or describes a person."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel

from chassis.catalogue import Personal
from contracts.__main__ import main
from contracts.base import Event, Kind, PersonId
from contracts.directory import MembershipGranted
from contracts.identity import AccountLocked
from contracts.privacy import Erase, ManifestAnnounced
from contracts.registry import all_events, schema_of

SERVICES = sorted(path.parent.name for path in Path("services").glob("*/wiring.py"))
EVENTS = list(all_events().values())
CLOSED = ("format", "pattern", "enum", "const", "$ref")

DESCRIBES_TABLES = {(ManifestAnnounced, "manifest")}
"""Reviewed: tables and columns, never people."""

REVIEWED = {
    ("AccountOpened", "notice_version"): "which text was shown",
    ("NoticePublished", "notice_version"): "which text was published",
    ("ConsentGiven", "notice_version"): "which text was agreed to",
    ("ConsentGiven", "purpose"): "of a closed list",
    ("ConsentWithdrawn", "purpose"): "of a closed list",
    ("CommunityOpened", "cci"): "the chamber of a community, not of an agent",
    ("Erase", "reason"): "of a closed list: by which door the wish came",
    ("PersonAttached", "role"): "of a closed list: what somebody may do for a company",
    ("RolesChanged", "holds_role"): "yes or no; which role stays in identity",
}
"""Fields with the name of a personal column, and why they may travel."""


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
        and "anyOf" not in node  # its choices are nodes themselves
        and node.get("type") != "null"
    }
    told = {(event.__name__, name) for name in names & personal}
    assert told <= REVIEWED.keys()


def test_events_name_the_people_they_are_about() -> None:
    person = uuid4()
    granted = MembershipGranted(
        membership_id=uuid4(), person_id=person, company_id=uuid4(), community_id=uuid4()
    )
    assert list(granted.people()) == [person]
    assert MembershipGranted.person_fields() == ("person_id",)


def test_a_person_who_may_be_missing_is_seen_too() -> None:
    class Written(Event, owner="alpha", fact="written", subject="thing_id"):
        thing_id: UUID
        author_id: PersonId | None = None

    thing, author = uuid4(), uuid4()
    assert Written.person_fields() == ("author_id",)
    assert list(Written(thing_id=thing, author_id=author).people()) == [author]
    assert list(Written(thing_id=thing).people()) == []


class Part(BaseModel):
    person_id: PersonId


@pytest.mark.parametrize(
    "hidden",
    [
        tuple[PersonId, ...],
        tuple[PersonId],
        list[PersonId] | None,
        dict[PersonId, int],
        dict[str, PersonId],
        PersonId | str,
        Part,
        Part | None,
        tuple[Part, ...],
    ],
)
def test_a_person_whom_the_fence_would_not_see_is_refused(hidden: Any) -> None:
    with pytest.raises(TypeError, match="one person at most, in one plain field"):

        class Hiding(Event, owner="alpha", fact="hiding", subject="thing_id"):
            thing_id: UUID
            somebody: hidden


def test_a_fact_about_two_people_is_refused() -> None:
    """The erasure of one would take away the news about the other."""
    with pytest.raises(TypeError, match="one person at most"):

        class Introduced(Event, owner="alpha", fact="introduced", subject="one_id"):
            one_id: PersonId
            other_id: PersonId | None = None


@pytest.mark.parametrize("named", [PersonId, PersonId | None, tuple[PersonId, ...], Part])
def test_an_answer_that_names_a_person_is_refused(named: Any) -> None:
    """It is about somebody who was erased: the fence would keep it from ever being heard."""
    with pytest.raises(TypeError, match="names none"):

        class Done(Event, owner="alpha", fact="done", subject="thing_id", kind=Kind.ANSWER):
            thing_id: UUID
            somebody: named


def test_who_passes_the_fence_is_reviewed() -> None:
    """A wish to be deleted, repeated until it is heard to be done, is heard after it was done."""
    assert {event for event in EVENTS if "people" in vars(event)} <= {AccountLocked}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_a_field_that_is_called_like_a_person_is_one(event: type[Event]) -> None:
    """A plain UUID under such a name would pass the fence."""
    called = {
        entry.column.name
        for service in SERVICES
        for entry in import_module(f"services.{service}.models").catalogue.subjects
    } - {"id"}
    assert called & event.model_fields.keys() <= set(event.person_fields())


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
