"""Whether a partner system understands the platform, and is understood: copy it, and make it yours.

Needs pytest and jsonschema, no broker and nothing of the platform but two folders: these examples and
`../schemas`. Replace the import and `system` by your own; the rest stays. Run: `pytest test_partner.py`.
"""

import copy
import json
import sqlite3
import uuid
from pathlib import Path
from typing import Any

import consumer  # yours
import jsonschema
import pytest

HERE = Path(__file__).parent
EXAMPLES = {path.stem: json.loads(path.read_text()) for path in HERE.glob("*.json")}
PREFIX = "fr.ccibusiness"
GRANTED = EXAMPLES[f"{PREFIX}.directory.membership_granted.v1"]
ERASE = EXAMPLES[f"{PREFIX}.privacy.erase.v1"]
ACKNOWLEDGED = f"{PREFIX}.partner.erasure_acknowledged.v1"
PERSON = GRANTED["data"]["person_id"]


class System:
    """The system under test: what it does with a message, and whether it knows a person."""

    def __init__(self) -> None:
        self.database = sqlite3.connect(":memory:")
        self.database.executescript(consumer.TABLES)

    def hears(self, event: dict[str, Any], *, exchange: str = "ccib.events") -> Any:
        """Returns the answer to publish, or None."""
        return consumer.react(self.database, exchange, copy.deepcopy(event))

    def knows(self, person_id: str) -> bool:
        return any(person_id in line for line in self.database.iterdump())


@pytest.fixture
def system() -> System:
    return System()


def judge(event: dict[str, Any]) -> None:
    """Raises `jsonschema.ValidationError` for what the platform would not read."""
    schema = json.loads((HERE.parent / "schemas" / f"{event['type']}.json").read_text())
    check = jsonschema.Draft202012Validator
    check(schema, format_checker=check.FORMAT_CHECKER).validate(event)


def command(*people: str) -> dict[str, Any]:
    """An erase command for these people, with ids of its own."""
    changed = copy.deepcopy(ERASE)
    changed["id"] = str(uuid.uuid4())
    changed["data"]["subjects"] = [
        {"erasure_id": str(uuid.uuid4()), "subject_id": person} for person in people
    ]
    return changed


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_are_what_the_schemas_say(name: str) -> None:
    judge(EXAMPLES[name])


@pytest.mark.parametrize("name", EXAMPLES)
def test_fields_that_come_later_do_no_harm(system: System, name: str) -> None:
    event = copy.deepcopy(EXAMPLES[name])
    event["added"] = event["data"]["added"] = {"later": True}
    for subject in event["data"].get("subjects", ()):
        subject["added"] = 1
    system.hears(
        event, exchange="ccib.commands" if event["type"] == ERASE["type"] else "ccib.events"
    )


def test_an_unknown_message_does_no_harm(system: System) -> None:
    assert system.hears({**GRANTED, "type": f"{PREFIX}.directory.not_yet_there.v1"}) is None


def test_a_member_is_known_and_then_forgotten_and_that_is_said(system: System) -> None:
    system.hears(GRANTED)
    assert system.knows(PERSON)
    answer = system.hears(ERASE, exchange="ccib.commands")
    assert not system.knows(PERSON)
    judge(answer)
    assert answer["type"] == ACKNOWLEDGED
    assert answer["data"] == {
        "position": ERASE["data"]["position"],
        "entry_hash": ERASE["data"]["entry_hash"],
        "subjects": [
            {"erasure_id": ERASE["data"]["subjects"][0]["erasure_id"], "outcome": "erased"}
        ],
    }


def test_everybody_in_a_command_is_answered_for_once(system: System) -> None:
    system.hears(GRANTED)
    order = command(PERSON, *(str(uuid.uuid4()) for _ in range(499)))
    answer = system.hears(order, exchange="ccib.commands")
    judge(answer)
    said = [(one["erasure_id"], one["outcome"]) for one in answer["data"]["subjects"]]
    first, *others = (one["erasure_id"] for one in order["data"]["subjects"])
    assert said == [(first, "erased"), *((other, "nothing_held") for other in others)]


def test_a_repeated_command_gets_the_same_answer_under_an_id_of_its_own(system: System) -> None:
    system.hears(GRANTED)
    first, second = (system.hears(ERASE, exchange="ccib.commands") for _ in range(2))
    assert first["data"] == second["data"]
    assert first["id"] != second["id"]


def test_a_repeated_fact_changes_nothing(system: System) -> None:
    system.hears(GRANTED)
    before = list(system.database.iterdump())
    system.hears(GRANTED)
    assert list(system.database.iterdump()) == before


def test_a_late_fact_brings_nobody_back(system: System) -> None:
    system.hears(ERASE, exchange="ccib.commands")
    system.hears(GRANTED)
    assert not system.knows(PERSON)


def test_only_the_exchange_of_commands_gives_commands(system: System) -> None:
    system.hears(GRANTED)
    assert system.hears(ERASE, exchange="ccib.events") is None
    assert system.knows(PERSON)
