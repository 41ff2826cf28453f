"""An operator's and the DPO's commands, against the whole platform."""

import json
from typing import Any
from uuid import uuid4

import pytest

from chassis import clock
from chassis.ids import new_id
from cli.platform import SERVICES
from contracts.directory import AttachmentRole, PersonAttached
from tests.journeys.commands import ccib
from tests.journeys.stack import Stack, eventually


def a_dead_letter(stack: Stack, service: str, *, reason: str) -> str:
    """An event that failed at every try, for one service."""
    event = PersonAttached(company_id=new_id(), person_id=new_id(), role=AttachmentRole.COLLEAGUE)
    body = {
        "specversion": "1.0",
        "id": str(new_id()),
        "source": "/services/directory",
        "type": event.event_type(),
        "subject": event.subject,
        "time": clock.now().isoformat(),
        "data": event.model_dump(mode="json"),
    }
    stack.value(
        service,
        "INSERT INTO inbox (event_id, aggregate, received_at, state, attempts, type, body, reason)"
        " VALUES ($1, $2, now(), 'dead', 5, $3, $4, $5)",
        body["id"],
        event.subject,
        event.event_type(),
        json.dumps(body).encode(),
        reason,
    )
    return str(body["id"])


def told(stack: Stack, *arguments: str) -> Any:
    said = ccib(stack, *arguments, "--json")
    assert said.code == 0, said.err
    return json.loads(said.out)


def test_erasure_is_rehearsed_in_every_service_beside_everybody_who_is_there(stack: Stack) -> None:
    rehearsed = told(stack, "rehearse")
    assert {one["service"] for one in rehearsed} == set(SERVICES)
    for one in rehearsed:
        assert one["holds"], one
        assert not one["impossible"]
        assert one["columns"]
    said = ccib(stack, "rehearse")
    assert said.code == 0
    assert said.out.count("nothing") == len(SERVICES)


def test_dead_letters_of_all_services_are_seen_replayed_and_dropped(stack: Stack) -> None:
    reason = f"Reason{uuid4().hex}"
    mine = {
        service: a_dead_letter(stack, service, reason=reason)
        for service in ("consultations", "identity")
    }
    causes = told(stack, "dead-letters", "list", "--reason", reason)
    assert [(one["service"], one["count"]) for one in causes] == [
        ("identity", 1),
        ("consultations", 1),
    ]
    [shown] = told(stack, "dead-letters", "show", mine["consultations"])
    assert (shown["service"], shown["data"]["role"]) == ("consultations", "colleague")
    asked = ccib(stack, "dead-letters", "drop", mine["identity"], given="n\n")
    assert asked.code == 1
    assert "Drop them?" in asked.err
    done = told(stack, "dead-letters", "replay", mine["consultations"])
    assert {one["service"]: one["count"] for one in done}["consultations"] == 1
    eventually(
        lambda: stack.value(
            "consultations",
            "SELECT state = 'done' FROM inbox WHERE event_id = $1",
            mine["consultations"],
        ),
        "the replayed letter takes effect",
    )
    dropped = ccib(
        stack, "dead-letters", "drop", "--yes", "--type", PersonAttached.event_type(),
        "--reason", reason,
    )  # fmt: skip
    assert (dropped.code, dropped.out) == (0, "identity: 1 dropped\n")
    again = ccib(stack, "dead-letters", "replay", mine["identity"])
    assert (again.code, again.out) == (1, "")
    assert "nothing of that selection" in again.err
    assert ccib(stack, "dead-letters", "replay", "--reason", reason).code == 2


def test_a_partner_comes_changes_its_password_and_goes(stack: Stack) -> None:
    name = f"crm-{uuid4().hex[:8]}"
    given = told(stack, "participants", "add", name, "--contact", "dpo@crm.example")
    other = told(stack, "participants", "rotate", name)
    assert given["user"] == other["user"]
    assert given["password"] != other["password"]
    assert ccib(stack, "participants", "remove", name, given="\n").code == 1
    gone = ccib(stack, "participants", "remove", name, "--yes")
    assert (gone.code, gone.out) == (0, f"{name} is removed\n")
    listed = {one["name"]: one for one in told(stack, "participants", "list")}
    assert (listed[name]["active"], listed["directory"]["active"]) == (False, True)
    refused = ccib(stack, "participants", "remove", "directory", "--yes")
    assert (refused.code, refused.out) == (1, "")
    assert "un service de la plateforme" in refused.err
    assert ccib(stack, "participants", "rotate", "nobody").code == 1


def test_erasures_are_shown_to_the_dpo_and_nobody_else(stack: Stack) -> None:
    assert isinstance(told(stack, "erasures", "list", "--open"), list)
    assert ccib(stack, "erasures", "show", str(uuid4())).code == 1
    assert ccib(stack, "erasures", "show", "nobody").code == 2
    member = stack.account("member")
    said = ccib(
        stack, "erasures", "list", CCIB_EMAIL=member["email"], CCIB_PASSWORD=member["password"]
    )
    assert (said.code, said.out) == (1, "")
    assert "n'a pas le rôle nécessaire" in said.err


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ({"CCIB_URL": "http://127.0.0.1:9", "CCIB_TOKEN": "x"}, 3),
        ({"CCIB_URL": "http://127.0.0.1:9"}, 2),
    ],
    ids=["silent", "nobody"],
)
def test_a_platform_that_does_not_answer_and_a_caller_without_name(
    environment: dict[str, str], code: int
) -> None:
    said = ccib(None, "participants", "list", **environment)
    assert (said.code, said.out) == (code, "")
    assert "Traceback" not in said.err
