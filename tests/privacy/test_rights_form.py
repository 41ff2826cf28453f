"""The form that is open to anyone: a stranger learns nothing, and nobody's mailbox is filled."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from email.message import EmailMessage
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from chassis import clock
from chassis.ids import new_id
from contracts.privacy import RightsRequestOpened
from tests.mailbox import token_in
from tests.privacy.conftest import Members
from tests.privacy.test_last_message import found_in_database
from tests.privacy.troupe import Troupe, completed, dpo
from tests.stand import Stand

FORM = "/api/privacy/rights-requests"
CONFIRM = f"{FORM}/confirmations"


@pytest.fixture(autouse=True)
def unhurried(privacy: Stand) -> None:
    """Each test comes from somewhere else, but for those that are about being slowed down."""
    privacy.client.headers["X-Forwarded-For"] = f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}::1"


async def ask_by_form(stand: Stand, email: str, kind: str = "access", **more: Any) -> Any:
    return await stand.client.post(FORM, json={"kind": kind, "email": email, **more})


async def link_to(members: Members, email: str) -> str:
    token = token_in(await members.post.wait_for(email))
    members.post.mails.clear()
    return token


async def opened(stand: Stand, members: Members, email: str, kind: str = "access") -> Any:
    """What the confirmation of a request by form answers."""
    assert (await ask_by_form(stand, email, kind)).status_code == 202
    answer = await stand.client.post(CONFIRM, json={"token": await link_to(members, email)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def text_of(mail: EmailMessage) -> str:
    found = mail.get_body(("plain",))
    assert found is not None
    return str(found.get_content())


@contextmanager
def statements(stand: Stand) -> Iterator[list[str]]:
    """The SQL of this service that mentions rights requests or takes a lock."""
    heard: list[str] = []
    engine = stand.runtime.db.engine.sync_engine

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if "INSERT INTO rights_" in statement or "pg_advisory_xact_lock(hash" in statement:
            heard.append(statement.partition("(")[0])

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield heard
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def test_known_or_not_the_form_answers_writes_and_mails_the_same(
    privacy: Stand, members: Members
) -> None:
    _, known = await members.join()
    seen = []
    for email in (known, f"{uuid4().hex}@ailleurs.example"):
        with statements(privacy) as heard:
            answer = await ask_by_form(privacy, email, "erasure", message="Bonjour")
        mail = await members.post.wait_for(email)
        said = text_of(mail).replace(token_in(mail), "TOKEN")
        seen.append((answer.status_code, answer.json(), heard, mail["Subject"], said))
    assert seen[0] == seen[1]
    assert seen[0][0] == 202
    assert len(seen[0][2]) >= 4


async def test_the_form_does_not_ask_identity_and_works_without_it(
    privacy: Stand, members: Members
) -> None:
    _, email = await members.join()
    await members.down()
    try:
        assert (await ask_by_form(privacy, email)).status_code == 202
        token = await link_to(members, email)
        waiting = await privacy.client.post(CONFIRM, json={"token": token})
        assert waiting.status_code == 503
    finally:
        await members.up()
    again = await privacy.client.post(CONFIRM, json={"token": token})
    assert again.status_code == 200, again.text


async def test_address_and_message_stand_nowhere_in_clear(privacy: Stand, members: Members) -> None:
    email, message = f"{uuid4().hex}@ailleurs.example", f"Message {uuid4().hex}"
    found = await ask_by_form(privacy, email, message=message)
    assert found.status_code == 202
    token = await link_to(members, email)
    assert await found_in_database(privacy, email, message, token) == []
    confirmed = (await privacy.client.post(CONFIRM, json={"token": token})).json()
    await members.post.wait_for(email)
    assert await found_in_database(privacy, email, message, confirmed["key"]) == []
    assert email not in str(privacy.heard)


async def test_looking_at_a_link_changes_nothing_and_it_serves_once(
    privacy: Stand, members: Members
) -> None:
    email = f"{uuid4().hex}@ailleurs.example"
    await ask_by_form(privacy, email, "rectification")
    token = await link_to(members, email)
    for _ in range(2):
        looked = await privacy.client.get(f"{CONFIRM}/{token}")
        assert (looked.status_code, looked.json()["kind"]) == (200, "rectification")
    answers = await asyncio.gather(
        *(privacy.client.post(CONFIRM, json={"token": token}) for _ in range(4))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 410, 410, 410]
    assert (await privacy.client.get(f"{CONFIRM}/{token}")).status_code == 410
    assert (await privacy.client.post(CONFIRM, json={"token": "x" * 43})).status_code == 410


async def test_three_links_a_day_go_to_an_address_and_the_answer_never_says(
    privacy: Stand, members: Members
) -> None:
    email = f"{uuid4().hex}@ailleurs.example"
    answers = await asyncio.gather(*(ask_by_form(privacy, email) for _ in range(6)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(202, answers[0].text)}
    await members.post.wait_for(email, count=3)
    witness = f"{uuid4().hex}@ailleurs.example"
    await ask_by_form(privacy, witness)
    await members.post.wait_for(witness)
    assert len(members.post.to(email)) == 3
    members.post.mails.clear()
    try:
        clock.shift(timedelta(hours=25))
        await ask_by_form(privacy, email)
        await members.post.wait_for(email)
    finally:
        clock.shift(timedelta(0))


async def test_one_client_is_slowed_down_whatever_it_says_and_nobody_else(
    privacy: Stand,
) -> None:
    def headers(written_by_gateway: str) -> dict[str, str]:
        return {
            "X-Forwarded-For": f"{uuid4().hex}, 203.0.113.{uuid4().int % 250}, {written_by_gateway}"
        }

    here = f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}::"
    codes = []
    for n in range(12):
        body = {"kind": "access", "email": f"{uuid4().hex}@ailleurs.example"}
        answer = await privacy.client.post(FORM, json=body, headers=headers(f"{here}{n + 1:x}"))
        codes.append(answer.status_code)
    assert codes == [202] * 10 + [429] * 2
    assert answer.json()["type"] == "urn:ccib:problem:too-many-from-here"
    assert answer.headers["retry-after"]
    other = await privacy.client.post(FORM, json=body, headers=headers("198.51.100.7"))
    assert other.status_code == 202


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "access"},
        {"kind": "oubli", "email": "a@b.example"},
        {"kind": "access", "email": "pas une adresse"},
        {"kind": "access", "email": f"{'a' * 300}@b.example"},
        {"kind": "access", "email": "a@b.example\r\nBcc: c@d.example"},
        {"kind": "access", "email": "a@b.example", "message": "m" * 4001},
        {"kind": "access", "email": "a@b.example", "message": ""},
        {"kind": "access", "email": "a@b.example", "account": str(uuid4())},
        {"kind": ["access"], "email": {"a": 1}},
    ],
)
async def test_a_wrong_form_is_refused_in_french(privacy: Stand, body: dict[str, Any]) -> None:
    answer = await privacy.client.post(FORM, json=body)
    assert (answer.status_code, answer.json()["title"]) == (422, "Saisie incorrecte")


async def test_an_unconfirmed_request_disappears_with_its_link(
    privacy: Stand, members: Members
) -> None:
    email = f"{uuid4().hex}@ailleurs.example"
    await ask_by_form(privacy, email)
    token = await link_to(members, email)
    [row] = await privacy.rows(
        "SELECT subject_id FROM rights_request ORDER BY request_id DESC LIMIT 1"
    )
    page = await privacy.client.get(f"{FORM}?limit=100", headers=dpo(privacy))
    assert str(row["subject_id"]) not in page.text
    hidden = await privacy.client.get(f"{FORM}/{row['subject_id']}", headers=dpo(privacy))
    assert hidden.status_code == 404
    try:
        clock.shift(timedelta(hours=24, minutes=1))
        assert (await privacy.client.post(CONFIRM, json={"token": token})).status_code == 410
        await privacy.eventually(
            "SELECT count(*) = 0 FROM rights_request WHERE request_id = $1", row["subject_id"]
        )
    finally:
        clock.shift(timedelta(0))
    assert not await privacy.rows("SELECT 1 FROM data_subject WHERE id = $1", row["subject_id"])
    assert not await privacy.rows(
        "SELECT 1 FROM rights_contact WHERE request_id = $1", row["subject_id"]
    )


async def test_a_mail_server_that_is_away_delays_the_link_and_loses_nothing(
    privacy: Stand, members: Members
) -> None:
    email, post = f"{uuid4().hex}@ailleurs.example", members.post
    post.refusing, post.refused = True, 0
    try:
        assert (await ask_by_form(privacy, email)).status_code == 202
        for _ in range(500):
            if post.refused:
                break
            await asyncio.sleep(0.02)
        assert post.refused
        post.refusing = False
        clock.shift(timedelta(minutes=5))
        token = await link_to(members, email)
    finally:
        post.refusing = False
        clock.shift(timedelta(0))
    answer = await privacy.client.post(CONFIRM, json={"token": token})
    assert answer.status_code == 200, answer.text


async def test_without_an_account_the_key_follows_the_request_and_nothing_else_does(
    privacy: Stand, members: Members
) -> None:
    email = f"{uuid4().hex}@ailleurs.example"
    found = await opened(privacy, members, email, "erasure")
    assert (found["erasure_id"], found["export"]) == (None, None)
    told = await privacy.hear(RightsRequestOpened, request_id=found["request_id"])
    assert told["person_id"] == found["request_id"]
    path = f"{FORM}/{found['request_id']}"
    view = (await privacy.client.get(path, headers={"Request-Key": found["key"]})).json()
    assert (view["state"], view["has_account"], view["contact"]) == ("open", False, None)
    assert [entry["step"] for entry in view["timeline"]] == ["received", "confirmed"]
    assert view["due_on"] == found["due_on"]
    mail = await members.post.wait_for(email)
    assert found["request_id"] in text_of(mail)
    for headers in (
        {"Request-Key": "x" * 43},
        {"Request-Key": ""},
        privacy.token(new_id()),
        privacy.token(UUID(found["request_id"])),  # a stranger who knows the number
    ):
        assert (await privacy.client.get(path, headers=headers)).status_code == 404
    assert (await privacy.client.get(path)).status_code == 401
    seen = (await privacy.client.get(path, headers=dpo(privacy))).json()
    assert seen["contact"]["email"] == email


async def test_a_confirmed_erasure_goes_into_the_one_protocol(
    privacy: Stand, members: Members, troupe: Troupe
) -> None:
    person, email = await members.join()
    found = await opened(privacy, members, email, "erasure")
    [row] = await privacy.rows(
        "SELECT subject_id, reason FROM erasure WHERE erasure_id = $1", UUID(found["erasure_id"])
    )
    assert (row["subject_id"], row["reason"]) == (person, "rights_request")
    command = await troupe["identity"].commanded(UUID(found["erasure_id"]))
    assert command.reason == "rights_request"
    await completed(privacy, UUID(found["erasure_id"]))
    mail = await members.post.wait_for(email)
    assert mail["Subject"] == "Vos données sont effacées"
    await privacy.eventually(
        "SELECT state = 'answered' FROM rights_request WHERE request_id = $1",
        UUID(found["request_id"]),
    )
    view = await privacy.client.get(
        f"{FORM}/{found['request_id']}", headers={"Request-Key": found["key"]}
    )
    steps = [entry["step"] for entry in view.json()["timeline"]]
    assert steps == ["received", "confirmed", "erasure_started", "erased"]
    assert not await privacy.rows("SELECT 1 FROM rights_contact WHERE subject_id = $1", person)
    assert not await privacy.rows(
        "SELECT 1 FROM data_subject WHERE id = $1", UUID(found["request_id"])
    )


async def test_two_requests_for_erasure_are_one_erasure(
    privacy: Stand, members: Members, troupe: Troupe
) -> None:
    person, email = await members.join()
    tokens = []
    for _ in range(2):
        await ask_by_form(privacy, email, "erasure")
        tokens.append(await link_to(members, email))
    with troupe.silent("directory") as directory:
        answers = await asyncio.gather(
            *(privacy.client.post(CONFIRM, json={"token": token}) for token in tokens)
        )
        assert [answer.status_code for answer in answers] == [200, 200]
        assert len({answer.json()["erasure_id"] for answer in answers}) == 1
        rows = await privacy.rows("SELECT erasure_id FROM erasure WHERE subject_id = $1", person)
        assert len(rows) == 1
        await directory.acknowledge(await directory.commanded(rows[0]["erasure_id"]))
    await completed(privacy, rows[0]["erasure_id"])
    await privacy.eventually(
        "SELECT count(*) = 2 FROM rights_request WHERE subject_id = $1 AND state = 'answered'",
        person,
    )
