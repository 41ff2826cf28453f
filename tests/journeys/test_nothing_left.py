"""What one person typed is looked for in every place where the platform keeps anything (E1).

Out of scope, and said so in each certificate: PostgreSQL's own files, whose dead rows stay until
vacuum. The mails that were sent to the person are in their own mailbox, which the sink stands for.
"""

import json
import re
from pathlib import Path

import httpx2

from tests.journeys import people, references
from tests.journeys.people import Person
from tests.journeys.stack import Stack, eventually

WHERE_IDS_STAY = {
    "data_subject",  # the tombstone
    "erasure",  # the proof
    "broadcast",  # the ledger
    "inbox",
    "outbox",
    "aggregate_sequence",
}


def found(texts: dict[str, str], word: str) -> set[str]:
    return {name for name, content in texts.items() if word in content}


def in_databases(stack: Stack) -> dict[str, str]:
    return {f"database of {name}": stack.dump(name) for name in stack.described["postgres"]}


def elsewhere(stack: Stack, person: Person) -> dict[str, str]:
    """Queues, logs, files, the ledger copy, the partner's record, RabbitMQ's folder, others' mail."""
    own = {
        path.stem
        for path, content in stack.files("mail").items()
        if path.suffix == ".json" and person.email in str(json.loads(content).get("to"))
    }
    kept = stack.files("logs", "storage", "ledger", "state", "mail", "servers/rabbitmq")
    kept[Path("run.log")] = (stack.layout.root / "run.log").read_bytes()
    texts = {
        str(path): content.decode("utf-8", "replace")
        for path, content in kept.items()
        if path.stem not in own
    }
    return texts | {"queues": stack.queued()} | observed(stack)


def observed(stack: Stack) -> dict[str, str]:
    """What operators are shown: the metrics of every process, and every trace."""
    metrics = {
        f"metrics of {name}": httpx2.get(f"{url}/metrics").text
        for name, url in stack.described["operations"].items()
    }
    return metrics | {"traces": "\n".join(span.text for span in list(stack.traces.spans))}


def rows_about(person: Person, *, but: tuple[str, ...], dumps: dict[str, str]) -> list[str]:
    """Every row that names a person and none of these others, as it is written."""
    return sorted(
        f"{name}: {line}"
        for name, dump in dumps.items()
        for line in dump.splitlines()
        if person.account_id in line
        and not any(one in line for one in but)
        and (match := re.match(r"INSERT INTO \w+\.(\w+)", line))
        and match.group(1) not in {"inbox", "outbox"}  # work in flight
    )


def test_what_a_person_typed_is_everywhere_before_and_nowhere_after(stack: Stack) -> None:
    community = people.a_community(stack)
    other, person = people.a_buyer(stack), people.a_buyer(stack)
    call = people.publishes(other, people.joins_with_a_company(other, community), community)
    photos = stack.files("storage")
    people.tells_about_themself(person)
    company = people.joins_with_a_company(person, community)
    people.replies(person, company, call)
    own_call = people.publishes(person, company, community)
    person.can("POST", "identity/sessions", json={"email": person.email, "password": "faux"})
    person.call("POST", "identity/password-resets", expect=202, json={"email": person.email})
    stack.mails(person.email, count=2)
    [photo] = [
        content for content in stack.files("storage").values() if content not in photos.values()
    ]

    # The positive control: each text is found in a database, and each medium is really read.
    others = elsewhere(stack, person)  # first: it waits until the queues are read
    before = in_databases(stack)
    assert not {what for what, word in person.typed.items() if not found(before, word)}
    assert found(before, person.account_id) == set(before)
    assert "queues" in found(others, person.account_id)
    assert any("rabbitmq" in name for name in found(others, person.account_id))
    eventually(
        lambda: any(
            "partner" in name for name in found(elsewhere(stack, person), person.account_id)
        ),
        "the partner knows the person",
    )
    assert any(name.endswith(".log") and '"event"' in text for name, text in others.items())
    assert any(person.email in m.decode() for m in stack.files("mail").values())

    farewell = person.delete_account()
    farewell.completed()
    stack.mails(person.email, count=3)
    eventually(
        lambda: stack.value("privacy", "SELECT count(*) FROM last_message") == 0,
        "the sealed address is destroyed",
    )

    after, others = in_databases(stack), elsewhere(stack, person)
    left = {
        f"{what} in {name}"
        for what, word in person.typed.items()
        for name in found(after | others, word)
    }
    assert not left
    assert photo not in stack.files("storage").values()
    partner = [text for name, text in others.items() if "partner" in name]
    assert partner
    assert not any(person.account_id in text for text in partner)
    tables = {
        match.group(1)
        for dump in after.values()
        for line in dump.splitlines()
        if person.account_id in line and (match := re.match(r"INSERT INTO \w+\.(\w+)", line))
    }
    assert tables <= WHERE_IDS_STAY
    # A sole trader's company went with them, and with it what was open of it.
    eventually(
        lambda: (
            stack.value("consultations", "SELECT state FROM consultation WHERE id = $1", own_call)
            == "cancelled"
        ),
        "their call is cancelled",
    )
    assert stack.value("directory", "SELECT count(*) FROM company WHERE id = $1", company) == 0
    # The others kept what is theirs, to the byte (E2).
    assert not {what for what, word in other.typed.items() if not found(after, word)}
    theirs = (person.account_id, str(company), str(own_call))
    kept = rows_about(other, but=theirs, dumps=after)
    assert kept == rows_about(other, but=theirs, dumps=before)
    assert len(kept) > 10
    # Nor does anything in any service still name what is not there (E4).
    eventually(lambda: not references.dangling(stack), "no id leads nowhere")
