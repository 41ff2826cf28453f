"""Following an erasure with its key, and the certificate at its end."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta
from uuid import UUID

import httpx2
import pytest
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from chassis import clock
from chassis.auth import Role
from chassis.ids import new_id
from services.identity.credentials import TokenKeys, erasure_key_claims
from services.privacy.models import one_month_after
from tests.privacy.conftest import OTHERS
from tests.privacy.troupe import Troupe, ask, completed, dpo, open_steps
from tests.stand import ISSUER, Stand


def key_of(stand: Stand, erasure_id: UUID, **changes: object) -> dict[str, str]:
    """The header that follows this erasure, as identity gives it to the person."""
    claims = erasure_key_claims(issuer=ISSUER, erasure_id=erasure_id, now=clock.now()) | changes
    return {"Erasure-Key": stand.keys.sign("erasure-key+jwt", claims)}


async def status(
    stand: Stand, erasure_id: UUID, headers: dict[str, str], *, of: str = "erasures"
) -> httpx2.Response:
    return await stand.client.get(f"/api/privacy/{of}/{erasure_id}", headers=headers)


async def test_the_key_shows_an_open_erasure_before_privacy_has_heard_of_it(
    privacy: Stand,
) -> None:
    erasure_id, now = new_id(), clock.now()
    answer = await status(privacy, erasure_id, key_of(privacy, erasure_id))
    view = answer.json()
    assert (answer.status_code, view["state"], view["certificate"]) == (200, "open", None)
    asked_at = datetime.fromisoformat(view["requested_at"])
    assert abs(asked_at - now) < timedelta(seconds=5)
    assert datetime.fromisoformat(view["due_by"]) == one_month_after(asked_at)
    assert set(open_steps(view)) >= {"privacy", *OTHERS}
    certificate = await status(privacy, erasure_id, key_of(privacy, erasure_id), of="certificates")
    assert certificate.status_code == 409


async def test_the_key_follows_the_erasure_to_its_certificate(
    privacy: Stand, troupe: Troupe
) -> None:
    with troupe.silent("directory") as directory:
        erasure_id = await ask(privacy)
        key = key_of(privacy, erasure_id)
        command = await directory.commanded(erasure_id)
        assert "directory" in open_steps((await status(privacy, erasure_id, key)).json())
        early = await status(privacy, erasure_id, key, of="certificates")
        assert (early.status_code, early.json()["type"]) == (409, "urn:ccib:problem:not-yet-proven")
        await directory.acknowledge(command)
    await completed(privacy, erasure_id)
    view = (await status(privacy, erasure_id, key)).json()
    assert (view["state"], open_steps(view)) == ("completed", [])
    assert (await privacy.client.get(view["certificate"], headers=key)).status_code == 200


@pytest.mark.parametrize("of", ["erasures", "certificates"])
async def test_whoever_holds_no_key_and_is_not_the_dpo_learns_nothing(
    privacy: Stand, troupe: Troupe, of: str
) -> None:
    erasure_id = await ask(privacy)
    await completed(privacy, erasure_id)
    other = new_id()
    strange = TokenKeys((ECKey.generate_key("P-256", {"kid": "strange"}),))
    now = clock.now()
    claims = erasure_key_claims(issuer=ISSUER, erasure_id=erasure_id, now=now)
    access = privacy.token(other)["Authorization"].removeprefix("Bearer ")
    nothing = [
        key_of(privacy, other),
        key_of(privacy, erasure_id, iss="http://elsewhere.example"),
        key_of(privacy, erasure_id, exp=int(now.timestamp()) - 60),
        {"Erasure-Key": strange.sign("erasure-key+jwt", claims)},
        {"Erasure-Key": privacy.keys.sign("at+jwt", claims)},
        {"Erasure-Key": access},
        {"Erasure-Key": "nonsense"},
        {"Erasure-Key": ""},
        {"Erasure-Key": "é.é.é"},
        key_of(privacy, other) | dpo(privacy),
        privacy.token(other),
        privacy.token(other, roles=[Role.OPERATOR, Role.AGENT, Role.BUYER]),
        privacy.token(scopes=["identity:addresses"]),
    ]
    for headers in nothing:
        encoded = {name: value.encode() for name, value in headers.items()}
        answer = await status(privacy, erasure_id, encoded, of=of)
        assert (answer.status_code, answer.json()["title"]) == (404, "Introuvable"), headers
    assert (await status(privacy, erasure_id, {}, of=of)).status_code == 401
    key = key_of(privacy, erasure_id)["Erasure-Key"]
    bearer = await status(privacy, erasure_id, {"Authorization": f"Bearer {key}"}, of=of)
    assert bearer.status_code == 401
    assert (await status(privacy, erasure_id, dpo(privacy), of=of)).status_code == 200
    assert (await status(privacy, other, dpo(privacy), of=of)).status_code == 404


async def test_the_certificate_verifies_against_the_published_keys_and_no_others(
    privacy: Stand, troupe: Troupe
) -> None:
    erasure_id = await ask(privacy)
    await completed(privacy, erasure_id)
    signed = (await status(privacy, erasure_id, dpo(privacy), of="certificates")).json()
    trusted = json.loads((privacy.layout.trust / "certificates.jwks.json").read_text())
    published = (await privacy.client.get("/api/privacy/certificates-keys")).json()
    for keys in (trusted, published):
        assert "d" not in keys["keys"][0]
        found = jws.deserialize_compact(signed["jws"], KeySet.import_key_set(keys), ["ES256"])
        assert json.loads(found.payload) == signed["certificate"]
    certificate = signed["certificate"]
    assert {p["name"] for p in certificate["participants"]} == {"privacy", *OTHERS}
    assert all(p["outcome"] and p["acknowledged_at"] for p in certificate["participants"])
    assert certificate["erasure_id"] == str(erasure_id)
    assert certificate["requested_at"] <= certificate["completed_at"]
    assert len(certificate["out_of_scope"]) == 3
    head, payload, tail = signed["jws"].split(".")
    altered = json.loads(urlsafe_b64decode(payload + "=="))
    altered["participants"].pop()
    forged = urlsafe_b64encode(json.dumps(altered).encode()).rstrip(b"=").decode()
    mine = ECKey.generate_key("P-256")
    again = jws.serialize_compact(
        {"alg": "ES256", "kid": trusted["keys"][0]["kid"]}, json.dumps(altered), mine, ["ES256"]
    )
    for bad in (f"{head}.{forged}.{tail}", f"{head}.{payload}.{tail[:-4]}AAAA", again):
        with pytest.raises(JoseError):
            jws.deserialize_compact(bad, KeySet.import_key_set(trusted), ["ES256"])


async def test_the_dpo_reads_all_erasures_page_by_page_and_nobody_else_does(
    privacy: Stand, troupe: Troupe
) -> None:
    asked = [await ask(privacy) for _ in range(5)]
    for erasure_id in asked:
        await completed(privacy, erasure_id)
    found: list[str] = []
    page = "/api/privacy/erasures?limit=2"
    while page and len(found) < 5:
        answer = await privacy.client.get(page, headers=dpo(privacy))
        body = answer.json()
        assert len(body["items"]) == 2
        found += [item["erasure_id"] for item in body["items"]]
        page = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
        assert bool(page) == bool(body["next"])
    assert found[:5] == [str(erasure_id) for erasure_id in reversed(asked)]
    assert len(set(found)) == len(found)
    for headers, expected in (
        ({}, 401),
        (privacy.token(new_id()), 403),
        (privacy.token(new_id(), roles=[Role.OPERATOR]), 403),
        (privacy.token(scopes=["identity:addresses"]), 403),
    ):
        for of in ("erasures", "refusals", "register"):
            answer = await privacy.client.get(f"/api/privacy/{of}", headers=headers)
            assert answer.status_code == expected


async def test_the_dpo_reads_what_is_not_completed_by_the_time_left(
    privacy: Stand, troupe: Troupe
) -> None:
    done = await ask(privacy)
    await completed(privacy, done)
    with troupe.silent("directory") as directory:
        asked = [await ask(privacy) for _ in range(3)]
        for erasure_id in asked:
            await directory.commanded(erasure_id)
        found: list[dict[str, str]] = []
        after: dict[str, str] = {}
        while True:
            answer = await privacy.client.get(
                "/api/privacy/erasures",
                params={"completed": "false", "limit": 2, **after},
                headers=dpo(privacy),
            )
            found += answer.json()["items"]
            if answer.json()["next"] is None:
                break
            after = {"after": answer.json()["next"]}
    ids = [one["erasure_id"] for one in found]
    assert [one for one in ids if one in map(str, asked)] == [str(one) for one in asked]
    assert str(done) not in ids
    assert [one["due_by"] for one in found] == sorted(one["due_by"] for one in found)
    ended = await privacy.client.get(
        "/api/privacy/erasures", params={"completed": "true"}, headers=dpo(privacy)
    )
    assert {one["state"] for one in ended.json()["items"]} == {"completed"}
