"""What the HTTP edge of every service refuses, by name; identity stands for all of them."""

import io
import logging
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx2
import pytest
import structlog
from joserfc.jwk import ECKey

from chassis import clock
from chassis.ids import new_id
from services.identity.credentials import TokenKeys, access_claims
from tests.stand import ISSUER, Stand

SIGN_UP = {"email": "a@b.example", "password": "Sept-Péniches-Bleues-42", "notice_version": "1"}


def problem(answer: httpx2.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["title"]
    assert body["request_id"] == answer.headers["x-request-id"]
    return str(body["type"]).removeprefix("urn:ccib:problem:")


async def test_malformed_json(identity: Stand) -> None:
    answer = await identity.client.post(
        "/api/identity/accounts",
        content=b'{"email": ',
        headers={"content-type": "application/json"},
    )
    assert (answer.status_code, problem(answer)) == (400, "malformed-request")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"email": 5}, "/body/email"),
        ({"email": "pas une adresse"}, "/body/email"),
        ({"email": "x" * 300 + "@b.example"}, "/body/email"),
        ({"notice_version": None}, "/body/notice_version"),
        ({"password": "x" * 129}, "/body/password"),
        ({"role": "operator"}, "/body/role"),
    ],
)
async def test_a_wrong_field_is_named_and_its_value_not_repeated(
    identity: Stand, change: dict[str, object], pointer: str
) -> None:
    answer = await identity.client.post("/api/identity/accounts", json=SIGN_UP | change)
    assert (answer.status_code, problem(answer)) == (422, "invalid-input")
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert "Péniches" not in answer.text
    assert "xxxx" not in answer.text


async def test_not_an_object(identity: Stand) -> None:
    answer = await identity.client.post("/api/identity/accounts", json=[1, 2])
    assert (answer.status_code, problem(answer)) == (422, "invalid-input")


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_of_ten_megabytes_is_refused(identity: Stand, *, declared: bool) -> None:
    body = b'{"email": "' + b"x" * 10_000_000 + b'"}'

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    answer = await identity.client.post(
        "/api/identity/accounts",
        content=body if declared else chunks(),
        headers={"content-type": "application/json"},
    )
    assert (answer.status_code, problem(answer)) == (413, "too-large")
    assert answer.json()["max_bytes"] == 1_000_000


async def test_characters_that_a_database_cannot_hold(identity: Stand) -> None:
    answer = await identity.client.post(
        "/api/identity/accounts/verify", json={"token": "nul \x00 nul nul nul"}
    )
    assert answer.status_code in {410, 422}
    assert problem(answer)


async def test_an_unknown_route_and_a_wrong_method(identity: Stand) -> None:
    missing = await identity.client.get("/api/identity/nothing")
    assert (missing.status_code, problem(missing)) == (404, "not-found")
    wrong = await identity.client.put("/api/identity/accounts")
    assert (wrong.status_code, problem(wrong)) == (405, "method-not-allowed")


async def me(identity: Stand, token: str) -> tuple[int, str]:
    answer = await identity.client.get(
        "/api/identity/me", headers={"Authorization": f"Bearer {token}"}
    )
    return answer.status_code, problem(answer)


REFUSED = (401, "not-authenticated")


async def test_tokens_that_are_not_valid_here_and_now(identity: Stand) -> None:
    def token(keys: TokenKeys = identity.keys, kind: str = "at+jwt", **changes: object) -> str:
        claims = access_claims(
            issuer=ISSUER, subject=str(uuid4()), now=clock.now(), session_id=new_id()
        )
        return keys.sign(kind, claims | changes)

    foreign = TokenKeys((ECKey.generate_key("P-256", {"kid": "foreign"}),))
    posing = TokenKeys((ECKey.generate_key("P-256", {"kid": str(identity.keys.private[0].kid)}),))
    assert await me(identity, token(exp=int(clock.now().timestamp()) - 120)) == REFUSED
    assert await me(identity, token(foreign)) == REFUSED
    assert await me(identity, token(posing)) == REFUSED
    assert await me(identity, token(iss="http://elsewhere.example")) == REFUSED
    assert await me(identity, token(aud=["directory"])) == REFUSED
    assert await me(identity, token(kind="erasure-key+jwt")) == REFUSED
    assert await me(identity, "nonsense") == REFUSED
    assert await me(identity, "eyJhbGciOiJub25lIn0.e30.") == REFUSED


async def test_no_token_says_how_to_authenticate(identity: Stand) -> None:
    answer = await identity.client.get("/api/identity/me")
    assert (answer.status_code, problem(answer)) == REFUSED
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_client_token_is_nobody(identity: Stand) -> None:
    answer = await identity.client.get(
        "/api/identity/me", headers=identity.token(scopes=["identity:addresses"])
    )
    assert (answer.status_code, problem(answer)) == (403, "forbidden")


async def test_addresses_are_for_clients_with_the_scope(identity: Stand) -> None:
    body = {"account_ids": [str(uuid4())]}
    for headers in ({}, identity.token(uuid4()), identity.token(scopes=["something:else"])):
        answer = await identity.client.post("/internal/addresses", json=body, headers=headers)
        assert answer.status_code in {401, 403}
    allowed = identity.token(scopes=["identity:addresses"])
    answer = await identity.client.post("/internal/addresses", json=body, headers=allowed)
    assert (answer.status_code, answer.json()) == (200, [])


async def test_whose_address_it_is_is_told_to_privacy_alone(identity: Stand) -> None:
    path, body = "/internal/accounts/by-address", {"email": f"{uuid4().hex}@ailleurs.example"}
    for headers in ({}, identity.token(uuid4()), identity.token(scopes=["identity:addresses"])):
        answer = await identity.client.post(path, json=body, headers=headers)
        assert answer.status_code in {401, 403}
    allowed = identity.token(scopes=["identity:lookup"])
    answer = await identity.client.post(path, json=body, headers=allowed)
    assert (answer.status_code, answer.json()) == (200, {"account_id": None})
    wrong = await identity.client.post(path, json={"email": "rien"}, headers=allowed)
    assert wrong.status_code == 422


async def test_a_wrong_client_secret_is_refused(identity: Stand) -> None:
    for client in ("privacy", "nobody"):
        answer = await identity.client.post(
            "/api/identity/oauth/token",
            data={"grant_type": "client_credentials", "client_id": client, "client_secret": "x"},
        )
        assert (answer.status_code, problem(answer)) == (401, "invalid-client")


async def test_nothing_of_a_request_is_in_the_logs(identity: Stand) -> None:
    secret = f"Jamais-Au-Journal-{uuid4().hex}"
    email = f"{uuid4().hex}@prive.example"
    written = io.StringIO()
    copy = logging.StreamHandler(written)
    copy.setFormatter(logging.getLogger().handlers[0].formatter)
    logging.getLogger().addHandler(copy)
    try:
        body = {"email": email, "password": secret}
        await identity.client.post("/api/identity/sessions", json=body)
        await identity.client.post("/api/identity/accounts", json=SIGN_UP | body)
        await identity.client.get(f"/api/identity/me?secret={secret}")
        structlog.get_logger().info("a_test", email=email, password=secret)
        try:
            raise ValueError(email)
        except ValueError as error:
            structlog.get_logger().error("another_test", exc_info=error)
    finally:
        logging.getLogger().removeHandler(copy)
    assert '"route": "/api/identity/sessions"' in written.getvalue()
    assert '"error": "ValueError"' in written.getvalue()
    assert secret not in written.getvalue()
    assert email not in written.getvalue()
