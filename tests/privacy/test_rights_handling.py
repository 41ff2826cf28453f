"""From "Mon compte", by letter, and what the DPO does: states, clock, reasons, lists."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from chassis import clock
from chassis.auth import Role
from chassis.ids import new_id
from contracts.privacy import (
    ConsentWithdrawn,
    ProcessingObjected,
    RightsRequestClosed,
    RightsRequestOpened,
)
from services.privacy.models.deadlines import last_day
from services.privacy.queries.rights import today
from tests.mailbox import token_in
from tests.privacy.conftest import Members
from tests.privacy.test_last_message import found_in_database
from tests.privacy.test_rights_form import CONFIRM, FORM, link_to, text_of
from tests.privacy.troupe import Troupe, ask, completed, dpo
from tests.stand import Stand

MINE = "/api/privacy/me/rights-requests"
LETTER = f"{FORM}/on-behalf"
REASON = "Le dossier est long : il faut relire quatre années d'échanges."


async def own(stand: Stand, person: UUID, kind: str = "access", **headers: str) -> Any:
    return await stand.client.post(
        MINE,
        json={"kind": kind, "message": "S'il vous plaît"},
        headers=stand.token(person) | headers,
    )


async def do(
    stand: Stand, request_id: str, what: str, body: dict[str, Any], who: Any = None
) -> Any:
    return await stand.client.post(
        f"{FORM}/{request_id}/{what}", json=body, headers=who or dpo(stand)
    )


async def mail_saying(members: Members, email: str, words: str) -> str:
    """The text of the mail to this address that says so, once it has come."""
    for _ in range(500):
        for mail in members.post.to(email):
            if words in text_of(mail):
                return text_of(mail)
        await asyncio.sleep(0.02)
    raise AssertionError(f"no mail says {words!r}: {[m['Subject'] for m in members.post.mails]}")


async def seen(stand: Stand, request_id: str) -> Any:
    answer = await stand.client.get(f"{FORM}/{request_id}", headers=dpo(stand))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_from_the_account_no_link_is_needed_and_the_copy_is_begun(
    privacy: Stand, members: Members
) -> None:
    person, email = await members.join()
    answer = await own(privacy, person)
    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert (found["state"], found["due_on"]) == ("open", last_day(today()).isoformat())
    assert found["export"]["key"]
    again = await own(privacy, person)
    assert (again.status_code, again.json()["request_id"]) == (409, found["request_id"])
    mail = await members.post.wait_for(email)
    assert "« accéder à mes données »" in text_of(mail)
    [line] = (await privacy.client.get(MINE, headers=privacy.token(person))).json()
    assert (line["kind"], line["has_account"]) == ("access", True)
    view = await privacy.client.get(answer.headers["location"], headers=privacy.token(person))
    steps = [entry["step"] for entry in view.json()["timeline"]]
    assert steps == ["received", "confirmed", "export_started"]
    assert view.json()["message"] == "S'il vous plaît"
    told = await privacy.hear(RightsRequestOpened, request_id=found["request_id"])
    assert told["person_id"] == str(person)


async def test_an_erasure_from_the_account_waits_for_the_link_in_a_mail(
    privacy: Stand, members: Members, troupe: Troupe
) -> None:
    person, email = await members.join()
    asked = await own(privacy, person, "erasure", **{"Idempotency-Key": "une-fois"})
    assert (asked.status_code, asked.json()["state"]) == (202, "unconfirmed")
    again = await own(privacy, person, "erasure", **{"Idempotency-Key": "une-fois"})
    assert again.json() == asked.json()
    assert not await privacy.rows("SELECT 1 FROM erasure WHERE subject_id = $1", person)
    token = await link_to(members, email)
    found = (await privacy.client.post(CONFIRM, json={"token": token})).json()
    await completed(privacy, UUID(found["erasure_id"]))
    assert (await privacy.client.get(MINE, headers=privacy.token(person))).status_code == 401


async def test_five_requests_at_once_are_one(privacy: Stand, members: Members) -> None:
    person, _ = await members.join()
    answers = await asyncio.gather(*(own(privacy, person, "restriction") for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    found = await privacy.rows("SELECT kind FROM rights_request WHERE subject_id = $1", person)
    assert [row["kind"] for row in found] == ["restriction"]


async def test_objecting_ends_what_is_not_necessary_at_once(
    privacy: Stand, members: Members
) -> None:
    person, _ = await members.join()
    body = {"purpose": "audience", "notice_version": "2026-11"}
    agreed = await privacy.client.post(
        "/api/privacy/me/consents", json=body, headers=privacy.token(person)
    )
    assert agreed.status_code == 201, agreed.text
    assert (await own(privacy, person, "objection")).status_code == 201
    await privacy.hear(ProcessingObjected, person_id=person)
    withdrawn = await privacy.hear(ConsentWithdrawn, person_id=person)
    assert withdrawn["purpose"] == "audience"
    [row] = await privacy.rows(
        "SELECT withdrawn_by FROM consent WHERE person_id = $1 AND purpose = 'audience'", person
    )
    assert row["withdrawn_by"] == "objection"


async def test_doubt_stops_the_clock_and_identity_lets_it_go_on(
    privacy: Stand, members: Members
) -> None:
    person, email = await members.join()
    request_id = (await own(privacy, person, "rectification")).json()["request_id"]
    received = today()
    doubted = await do(privacy, request_id, "doubt", {"reason": "Envoyez l'avis de situation."})
    assert (doubted.status_code, doubted.json()["state"]) == (200, "identity_check")
    await mail_saying(members, email, "avis de situation")
    assert (await do(privacy, request_id, "doubt", {"reason": REASON})).status_code == 409
    answer = await do(privacy, request_id, "answer", {"template": "done", "words": "Fait."})
    assert answer.status_code == 409
    try:
        clock.shift(timedelta(days=10))
        line = (await seen(privacy, request_id))["days_left"]
        assert line == doubted.json()["days_left"]
        checked = await do(privacy, request_id, "identity", {"how": "Pièce vue au guichet."})
        assert checked.status_code == 200, checked.text
    finally:
        clock.shift(timedelta(0))
    assert checked.json()["due_on"] == last_day(received, paused_days=10).isoformat()
    view = await seen(privacy, request_id)
    assert view["contact"]["identity"] == "Pièce vue au guichet."
    assert [entry["step"] for entry in view["timeline"]].count("confirmed") == 1
    assert await found_in_database(privacy, "vue au guichet", "avis de situation") == []


async def test_an_extension_is_told_with_its_reasons_inside_the_first_month(
    privacy: Stand, members: Members
) -> None:
    person, email = await members.join()
    request_id = (await own(privacy, person, "rectification")).json()["request_id"]
    assert (await do(privacy, request_id, "extension", {"reasons": "court"})).status_code == 422
    extended = await do(privacy, request_id, "extension", {"reasons": REASON})
    assert extended.json()["due_on"] == last_day(today(), extended=True).isoformat()
    text = await mail_saying(members, email, REASON)
    assert "CNIL" in text
    assert (await do(privacy, request_id, "extension", {"reasons": REASON})).status_code == 409
    other = (await own(privacy, person, "restriction")).json()["request_id"]
    try:
        clock.shift(timedelta(days=40))
        late = await do(privacy, other, "extension", {"reasons": REASON})
    finally:
        clock.shift(timedelta(0))
    assert late.json()["type"] == "urn:ccib:problem:deadline-passed"


async def test_a_refusal_names_reasons_and_remedies_and_the_person_reads_them(
    privacy: Stand, members: Members
) -> None:
    person, email = await members.join()
    request_id = (await own(privacy, person, "rectification")).json()["request_id"]
    refused = await do(privacy, request_id, "refusal", {"reasons": REASON})
    assert (refused.status_code, refused.json()["state"]) == (200, "refused")
    text = await mail_saying(members, email, REASON)
    for words in (REASON, "3 place de Fontenoy", "tribunal", "dpo@ccibusiness.example"):
        assert words in text
    told = await privacy.hear(RightsRequestClosed, request_id=request_id)
    assert told["refused"] is True
    view = await privacy.client.get(f"{FORM}/{request_id}", headers=privacy.token(person))
    assert view.json()["letters"][-1]["words"] == REASON
    assert view.json()["contact"] is None
    assert all(entry["actor_id"] is None for entry in view.json()["timeline"])
    last = (await seen(privacy, request_id))["timeline"][-1]
    assert (last["step"], last["actor_role"], bool(last["actor_id"])) == ("refused", "dpo", True)
    closed = await privacy.client.get(f"{FORM}?state=closed", headers=dpo(privacy))
    # Others of this folder closed theirs on clocks that were ahead.
    assert request_id in {item["request_id"] for item in closed.json()["items"]}


async def test_a_letter_waits_for_its_author_and_its_clock_with_it(
    privacy: Stand, members: Members
) -> None:
    person, email = await members.join()
    agent, received = new_id(), today() - timedelta(days=5)
    body = {"kind": "rectification", "received_on": received.isoformat(), "email": email}
    entered = await privacy.client.post(
        LETTER, json=body, headers=privacy.token(agent, roles=[Role.AGENT])
    )
    assert entered.status_code == 201, entered.text
    found = entered.json()
    assert (found["state"], found["has_account"]) == ("identity_check", False)
    assert found["due_on"] == last_day(received).isoformat()
    mail = await members.post.wait_for(email)
    assert "courrier" in mail["Subject"]
    confirmed = await privacy.client.post(CONFIRM, json={"token": token_in(mail)})
    assert confirmed.status_code == 200, confirmed.text
    view = await seen(privacy, found["request_id"])
    assert (view["state"], view["has_account"]) == ("open", True)
    first = view["timeline"][0]
    assert (first["actor_role"], first["actor_id"]) == ("agent", str(agent))
    own_list = await privacy.client.get(MINE, headers=privacy.token(person))
    assert [line["request_id"] for line in own_list.json()] == [found["request_id"]]


async def test_a_letter_without_a_mail_address_is_opened_by_the_dpo_who_says_how(
    privacy: Stand,
) -> None:
    body = {
        "kind": "erasure",
        "received_on": today().isoformat(),
        "postal_address": "12 rue des Quais, 76600 Le Havre",
        "message": "Effacez tout.",
    }
    entered = await privacy.client.post(LETTER, json=body, headers=dpo(privacy))
    request_id = entered.json()["request_id"]
    assert entered.json()["state"] == "identity_check"
    opened = await do(privacy, request_id, "identity", {"how": "Signature comparée au bail."})
    assert opened.json()["state"] == "open"
    words = "Nous n'avons rien trouvé à votre nom."
    answered = await do(privacy, request_id, "answer", {"template": "nothing_held", "words": words})
    assert answered.json()["state"] == "answered"
    view = await seen(privacy, request_id)
    assert view["letters"][-1]["sent_at"] is None
    assert view["contact"]["postal_address"].startswith("12 rue des Quais")
    assert await found_in_database(privacy, "rue des Quais", "Effacez tout") == []


@pytest.mark.parametrize(
    ("role", "body", "expected"),
    [
        (Role.BUYER, {}, 403),
        (Role.OPERATOR, {}, 403),
        (None, {}, 403),
        (Role.AGENT, {"identity": "Je la connais bien."}, 403),
        (Role.AGENT, {"email": None}, 422),
        (Role.AGENT, {"received_on": "2999-01-01"}, 422),
        (Role.AGENT, {"received_on": "2019-01-01"}, 422),
        (Role.AGENT, {"received_on": "hier"}, 422),
        (Role.AGENT, {"kind": "autre"}, 422),
    ],
)
async def test_a_letter_is_entered_by_agents_and_the_dpo_as_far_as_they_may(
    privacy: Stand, role: Role | None, body: dict[str, Any], expected: int
) -> None:
    letter = {"kind": "access", "received_on": today().isoformat(), "email": "a@b.example"}
    headers = privacy.token(new_id(), roles=[role] if role else [])
    answer = await privacy.client.post(LETTER, json=letter | body, headers=headers)
    assert answer.status_code == expected, answer.text


async def test_the_work_list_begins_with_what_is_most_urgent(
    privacy: Stand, members: Members
) -> None:
    entered = []
    for days in (20, 3, 300):
        body = {
            "kind": "access",
            "received_on": (today() - timedelta(days=days)).isoformat(),
            "email": f"{uuid4().hex}@ailleurs.example",
            "identity": "Carte vue au guichet de la chambre.",
        }
        answer = await privacy.client.post(LETTER, json=body, headers=dpo(privacy))
        assert answer.json()["state"] == "open", answer.text
        entered.append(answer.json()["request_id"])
    found, page = [], f"{FORM}?limit=2"
    while page:
        answer = await privacy.client.get(page, headers=dpo(privacy))
        found += answer.json()["items"]
        page = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
    left = [line["days_left"] for line in found]
    assert left == sorted(left)
    ids = [line["request_id"] for line in found]
    assert len(set(ids)) == len(ids)
    assert [one for one in ids if one in entered] == [entered[2], entered[0], entered[1]]
    for bad in ("after=xyz", "after=WzFd", "limit=0", "limit=101", "state=all"):
        answer = await privacy.client.get(f"{FORM}?{bad}", headers=dpo(privacy))
        assert answer.status_code == 422


async def test_nobody_but_the_dpo_works_on_requests(privacy: Stand, members: Members) -> None:
    person, _ = await members.join()
    request_id = (await own(privacy, person, "rectification")).json()["request_id"]
    bodies = {
        "doubt": {"reason": REASON},
        "identity": {"how": REASON},
        "extension": {"reasons": REASON},
        "answer": {"template": "done", "words": "Fait."},
        "refusal": {"reasons": REASON},
    }
    for who, expected in (
        ({}, 401),
        (privacy.token(person), 403),
        (privacy.token(new_id(), roles=[Role.AGENT, Role.OPERATOR, Role.BUYER]), 403),
        (privacy.token(scopes=["identity:lookup"]), 403),
    ):
        for what, body in bodies.items():
            answer = await privacy.client.post(
                f"{FORM}/{request_id}/{what}", json=body, headers=who
            )
            assert answer.status_code == expected, (what, answer.text)
        assert (await privacy.client.get(FORM, headers=who)).status_code == expected
    for what, body in bodies.items():
        assert (await do(privacy, str(new_id()), what, body)).status_code == 404
    empty = await do(privacy, request_id, "answer", {"template": "done"})
    assert empty.status_code == 422
    for hidden in ("link", "received", "../refused"):
        answer = await do(privacy, request_id, "answer", {"template": hidden, "words": "x"})
        assert answer.status_code == 422
    other = await privacy.client.get(
        f"{FORM}/{request_id}", headers=privacy.token(new_id(), roles=[Role.AGENT])
    )
    assert other.status_code == 404


async def test_address_and_letters_go_sixty_days_after_the_answer_the_proof_after_five_years(
    privacy: Stand, members: Members
) -> None:
    person, email = await members.join()
    request_id = (await own(privacy, person, "rectification")).json()["request_id"]
    done = {"template": "done", "words": "Votre nom est corrigé."}
    assert (await do(privacy, request_id, "answer", done)).json()["state"] == "answered"
    await members.post.wait_for(email, count=2)
    try:
        clock.shift(timedelta(days=59))
        assert (await seen(privacy, request_id))["letters"]
        clock.shift(timedelta(days=61))
        await privacy.eventually(
            "SELECT NOT EXISTS (SELECT FROM rights_contact WHERE request_id = $1)"
            " AND NOT EXISTS (SELECT FROM rights_mail WHERE request_id = $1)",
            UUID(request_id),
        )
        view = await seen(privacy, request_id)
        assert (view["message"], view["contact"], view["letters"]) == (None, None, [])
        assert view["timeline"][-1]["step"] == "answered"
        clock.shift(timedelta(days=5 * 365 + 1))
        await privacy.eventually(
            "SELECT NOT EXISTS (SELECT FROM rights_request WHERE request_id = $1)",
            UUID(request_id),
        )
    finally:
        clock.shift(timedelta(0))


async def test_forgetting_the_person_forgets_words_and_keeps_that_there_was_an_answer(
    privacy: Stand, members: Members, troupe: Troupe
) -> None:
    person, _ = await members.join()
    request_id = (await own(privacy, person, "restriction")).json()["request_id"]
    officer = privacy.token(new_id(), roles=[Role.DPO])
    await do(privacy, request_id, "doubt", {"reason": REASON}, officer)
    await completed(privacy, await ask(privacy, person))
    await privacy.eventually(
        "SELECT state = 'answered' FROM rights_request WHERE request_id = $1", UUID(request_id)
    )
    view = await seen(privacy, request_id)
    assert (view["message"], view["contact"], view["letters"]) == (None, None, [])
    assert [entry["step"] for entry in view["timeline"]][-1] == "erased"
    assert (await do(privacy, request_id, "refusal", {"reasons": REASON})).status_code == 409


async def test_forgetting_the_dpo_leaves_the_step_without_a_name(
    privacy: Stand, members: Members, troupe: Troupe
) -> None:
    person, _ = await members.join()
    officer = new_id()
    request_id = (await own(privacy, person, "restriction")).json()["request_id"]
    headers = privacy.token(officer, roles=[Role.DPO])
    await do(privacy, request_id, "extension", {"reasons": REASON}, headers)
    await completed(privacy, await ask(privacy, officer))
    last = (await seen(privacy, request_id))["timeline"][-1]
    assert (last["step"], last["actor_role"], last["actor_id"]) == ("extended", "dpo", None)
