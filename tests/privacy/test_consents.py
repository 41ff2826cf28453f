"""Consents given and withdrawn, each with its proof; notices in their versions."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from chassis import clock
from chassis.ids import new_id
from contracts.identity import AccountOpened
from contracts.privacy import ConsentGiven, ConsentWithdrawn
from services.privacy.actions.notices import publish_notice
from tests.privacy.troupe import Troupe, ask, completed, dpo
from tests.stand import Stand

MINE = "/api/privacy/me/consents"
CURRENT = "2026-11"


async def a_member(stand: Stand, version: str = CURRENT) -> UUID:
    """Somebody who signed up before this version of the notice."""
    person = new_id()
    await stand.say(AccountOpened(account_id=person, notice_version=version, opened_at=clock.now()))
    await stand.eventually("SELECT count(*) FROM consent WHERE person_id = $1", person)
    return person


async def agree(stand: Stand, person: UUID, purpose: str, version: str = CURRENT) -> Any:
    body = {"purpose": purpose, "notice_version": version}
    return await stand.client.post(MINE, json=body, headers=stand.token(person))


async def proof_of(stand: Stand, person: UUID, consent_id: str) -> Any:
    answer = await stand.client.get(f"{MINE}/{consent_id}/proof", headers=stand.token(person))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_signing_up_is_proven_with_the_hash_of_the_text_that_was_shown(
    privacy: Stand,
) -> None:
    person = await a_member(privacy)
    [consent] = (await privacy.client.get(MINE, headers=privacy.token(person))).json()
    versions = (await privacy.client.get("/api/privacy/notices")).json()
    hashes = {version["version"]: version["text_hash"] for version in versions}
    assert (consent["purpose"], consent["given_by"]) == ("platform", "sign_up")
    assert consent["text_hash"] == hashes[CURRENT]
    signed = await proof_of(privacy, person, consent["consent_id"])
    trusted = json.loads((privacy.layout.trust / "certificates.jwks.json").read_text())
    found = jws.deserialize_compact(signed["jws"], KeySet.import_key_set(trusted), ["ES256"])
    assert json.loads(found.payload) == signed["proof"]
    assert signed["proof"].items() >= {"person_id": str(person), **consent}.items()
    mine = ECKey.generate_key("P-256")
    forged = jws.serialize_compact(
        {"alg": "ES256", "kid": trusted["keys"][0]["kid"]}, b"{}", mine, ["ES256"]
    )
    with pytest.raises(JoseError):
        jws.deserialize_compact(forged, KeySet.import_key_set(trusted), ["ES256"])
    told = await privacy.hear(ConsentGiven, person_id=person)
    assert (told["consent_id"], told["notice_version"]) == (consent["consent_id"], CURRENT)
    other = await privacy.client.get(
        f"{MINE}/{consent['consent_id']}/proof", headers=privacy.token(new_id())
    )
    assert other.status_code == 404


async def test_withdrawing_is_as_easy_as_giving_and_both_stay_provable(privacy: Stand) -> None:
    person = await a_member(privacy)
    for _ in range(2):  # agreeing twice is agreeing once
        assert (await agree(privacy, person, "audience")).status_code == 201
    assert privacy.heard_count(ConsentGiven, person_id=person, purpose="audience") <= 1
    headers = privacy.token(person)
    withdrawn = await privacy.client.delete(f"{MINE}/audience", headers=headers)
    assert withdrawn.status_code == 204
    assert (await privacy.client.delete(f"{MINE}/audience", headers=headers)).status_code == 404
    told = await privacy.hear(ConsentWithdrawn, person_id=person)
    again = (await agree(privacy, person, "audience")).json()
    assert [c["withdrawn_at"] is None for c in again if c["purpose"] == "audience"] == [False, True]
    old = next(c for c in again if c["withdrawn_at"])
    assert (old["consent_id"], old["withdrawn_by"]) == (told["consent_id"], "account")
    assert (await proof_of(privacy, person, old["consent_id"]))["proof"]["withdrawn_at"]


async def test_the_consent_that_the_account_rests_on_ends_with_the_account(
    privacy: Stand,
) -> None:
    person = await a_member(privacy)
    answer = await privacy.client.delete(f"{MINE}/platform", headers=privacy.token(person))
    assert (answer.status_code, answer.json()["type"]) == (
        409,
        "urn:ccib:problem:delete-the-account",
    )
    [consent] = (await privacy.client.get(MINE, headers=privacy.token(person))).json()
    assert consent["withdrawn_at"] is None


async def test_a_new_notice_says_what_changed_and_who_must_be_asked_again(privacy: Stand) -> None:
    person, version = await a_member(privacy), f"essai-{new_id().hex[:8]}"
    before = (await privacy.client.get(f"/api/privacy/notices/{CURRENT}")).json()
    content = {**before["content"], "conservation": "Moins longtemps", "nouveau": ["Un", "Deux"]}
    del content["reclamation"]
    soon = clock.now() + timedelta(days=30)
    async with privacy.runtime.db.transaction() as session:
        await publish_notice(session, version=version, in_force_from=soon, content=content)
    try:
        detail = (await privacy.client.get(f"/api/privacy/notices/{version}")).json()
        assert detail["compared_with"] == CURRENT
        changed = {change["section"]: change for change in detail["changes"]}
        assert set(changed) == {"conservation", "nouveau", "reclamation"}
        assert changed["nouveau"]["before"] is None
        assert changed["reclamation"]["after"] is None
        same = await privacy.client.get(f"/api/privacy/notices/{version}?since={version}")
        assert same.json()["changes"] == []
        listed = (await privacy.client.get("/api/privacy/notices")).json()
        assert [one["version"] for one in listed][:2] == [version, CURRENT]
        mine = "/api/privacy/me/notice-to-accept"
        early = (await privacy.client.get(mine, headers=privacy.token(person))).json()
        assert (early["to_accept"], early["version"]) == (False, CURRENT)
        clock.shift(timedelta(days=31))
        late = (await privacy.client.get(mine, headers=privacy.token(person))).json()
        assert (late["to_accept"], late["version"]) == (True, version)
        assert late["agreed_version"] == CURRENT
        assert str(person) in await asked_again(privacy, version)
        old = await agree(privacy, person, "platform")
        assert (old.status_code, old.json()["type"]) == (422, "urn:ccib:problem:unknown-notice")
        new = await agree(privacy, person, "platform", version)
        assert new.status_code == 201, new.text
        now = (await privacy.client.get(mine, headers=privacy.token(person))).json()
        assert (now["to_accept"], now["agreed_version"]) == (False, version)
        assert str(person) not in await asked_again(privacy, version)
    finally:
        clock.shift(timedelta(0))
        await privacy.rows("DELETE FROM notice WHERE version = $1", version)


async def asked_again(stand: Stand, version: str) -> set[str]:
    """Who must be asked about this version, page by page."""
    found, page = set(), f"/api/privacy/notices/{version}/to-ask?limit=3"
    while page:
        answer = await stand.client.get(page, headers=dpo(stand))
        assert answer.status_code == 200, answer.text
        people = [one["person_id"] for one in answer.json()["items"]]
        assert not found & set(people)
        found |= set(people)
        page = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
    return found


async def test_who_signed_up_before_an_unknown_text_is_asked_and_proves_no_hash(
    privacy: Stand,
) -> None:
    person = await a_member(privacy, "jamais-publiee")
    view = await privacy.client.get(
        "/api/privacy/me/notice-to-accept", headers=privacy.token(person)
    )
    assert view.json()["to_accept"] is True
    [consent] = (await privacy.client.get(MINE, headers=privacy.token(person))).json()
    assert consent["text_hash"] is None


async def test_consents_go_with_the_person(privacy: Stand, troupe: Troupe) -> None:
    person = await a_member(privacy)
    await agree(privacy, person, "audience")
    await completed(privacy, await ask(privacy, person))
    assert not await privacy.rows("SELECT 1 FROM consent WHERE person_id = $1", person)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"purpose": "audience", "notice_version": "inconnue"}, 422),
        ({"purpose": "tout", "notice_version": CURRENT}, 422),
        ({"purpose": "audience"}, 422),
        ({"purpose": "audience", "notice_version": "É"}, 422),
        ({"purpose": "audience", "notice_version": CURRENT, "given_at": "2020-01-01"}, 422),
    ],
)
async def test_agreeing_to_nonsense_is_refused(
    privacy: Stand, body: dict[str, str], expected: int
) -> None:
    headers = privacy.token(new_id())
    assert (await privacy.client.post(MINE, json=body, headers=headers)).status_code == expected


async def test_consents_are_for_people_and_the_list_to_ask_is_for_the_dpo(privacy: Stand) -> None:
    client = privacy.token(scopes=["identity:lookup"])
    assert (await privacy.client.get(MINE, headers=client)).status_code == 403
    assert (await privacy.client.get(MINE)).status_code == 401
    path = f"/api/privacy/notices/{CURRENT}/to-ask"
    assert (await privacy.client.get(path, headers=privacy.token(new_id()))).status_code == 403
    unknown = await privacy.client.get("/api/privacy/notices/jamais/to-ask", headers=dpo(privacy))
    assert unknown.status_code == 404
    assert (await privacy.client.get("/api/privacy/notices/jamais")).status_code == 404
    for consent_id, code in ((new_id(), 404), ("x", 422)):
        answer = await privacy.client.get(
            f"{MINE}/{consent_id}/proof", headers=privacy.token(new_id())
        )
        assert answer.status_code == code
