"""Sessions of the site: a secret in a cookie, exchanged by the site alone for short tokens."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from chassis import clock
from services.identity.models import BROWSER_LIFETIME, USE_NOTED_EVERY
from tests.identity.test_accounts import PASSWORD, a_member, sign_in
from tests.mailbox import Mailbox, token_in
from tests.stand import Stand

API = "/api/identity"
SCOPE = "identity:browser-sessions"


async def as_the_site(identity: Stand, path: str, body: dict[str, Any]) -> httpx2.Response:
    return await identity.client.post(
        f"{API}{path}", json=body, headers=identity.token(scopes=[SCOPE])
    )


async def opened(identity: Stand, email: str, password: str = PASSWORD) -> httpx2.Response:
    return await as_the_site(identity, "/browser-sessions", {"email": email, "password": password})


async def exchanged(identity: Stand, secret: str) -> httpx2.Response:
    return await as_the_site(identity, "/browser-sessions/token", {"secret": secret})


async def headers_of(identity: Stand, secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {(await exchanged(identity, secret)).json()['access_token']}"}


async def test_a_secret_is_exchanged_for_tokens_of_its_person(
    identity: Stand, mailbox: Mailbox
) -> None:
    email = await a_member(identity, mailbox)
    answer = await opened(identity, email)
    assert answer.status_code == 201, answer.text
    secret, account_id = answer.json()["secret"], answer.json()["account_id"]
    token = await exchanged(identity, secret)
    assert token.status_code == 200, token.text
    assert (token.json()["account_id"], token.json()["roles"]) == (account_id, [])
    assert token.json()["expires_in"] == 300
    me = await identity.client.get(f"{API}/me", headers=await headers_of(identity, secret))
    assert me.json()["email"] == email
    # Neither the secret nor a way back to it is in the database.
    kept = await identity.rows("select to_json(session)::text as kept from session")
    assert secret not in str([row["kept"] for row in kept])


async def test_a_client_without_the_scope_gets_nothing(identity: Stand, mailbox: Mailbox) -> None:
    email = await a_member(identity, mailbox)
    body = {"email": email, "password": PASSWORD}
    for scopes, status in ([], 403), (["identity:addresses", "subjects:read"], 403):
        answer = await identity.client.post(
            f"{API}/browser-sessions", json=body, headers=identity.token(scopes=scopes)
        )
        assert answer.status_code == status
    assert (await identity.client.post(f"{API}/browser-sessions", json=body)).status_code == 401


async def test_failures_are_those_of_any_sign_in_and_are_counted_together(
    identity: Stand, mailbox: Mailbox
) -> None:
    email = await a_member(identity, mailbox)
    for _ in range(5):
        wrong, elsewhere = (
            await opened(identity, email, "faux"),
            await sign_in(identity, email, "faux"),
        )
        assert wrong.status_code == elsewhere.status_code == 401
        alike = [
            {name: value for name, value in one.json().items() if name != "request_id"}
            for one in (wrong, elsewhere)
        ]
        assert alike[0] == alike[1]
    assert (await opened(identity, email)).status_code == 429


async def test_a_secret_ends_when_its_time_is_over_and_notes_its_use(
    identity: Stand, mailbox: Mailbox
) -> None:
    answer = await opened(identity, await a_member(identity, mailbox))
    secret, account_id = answer.json()["secret"], answer.json()["account_id"]
    used = "select last_used_at > opened_at as used from session where account_id = $1"
    try:
        clock.shift(USE_NOTED_EVERY / 2)
        await exchanged(identity, secret)
        assert not (await identity.rows(used, account_id))[0]["used"]
        clock.shift(USE_NOTED_EVERY)
        await exchanged(identity, secret)
        assert (await identity.rows(used, account_id))[0]["used"]
        clock.shift(BROWSER_LIFETIME)
        over = await exchanged(identity, secret)
        assert (over.status_code, over.json()["type"].rpartition(":")[2]) == (
            401,
            "browser-session-ended",
        )
    finally:
        clock.shift(timedelta(0))


@pytest.mark.parametrize(
    "how", ["sign out", "end the other", "change password", "reset password", "delete"]
)
async def test_what_ends_a_session_ends_its_secret(
    identity: Stand, mailbox: Mailbox, how: str
) -> None:
    email = await a_member(identity, mailbox)
    secret = (await opened(identity, email)).json()["secret"]
    other = (await opened(identity, email)).json()["secret"]
    headers, client = await headers_of(identity, secret), identity.client
    new = "Trois-Moulins-Verts-7"
    match how:
        case "sign out":
            done = await client.delete(f"{API}/sessions/current", headers=headers)
        case "end the other":
            listed = (await client.get(f"{API}/me/sessions", headers=headers)).json()
            [ended] = [one["id"] for one in listed if not one["current"]]
            done = await client.delete(f"{API}/me/sessions/{ended}", headers=headers)
            again = await client.delete(f"{API}/me/sessions/{ended}", headers=headers)
            assert again.status_code == 404
        case "change password":
            done = await client.put(
                f"{API}/me/password", json={"current": PASSWORD, "new": new}, headers=headers
            )
        case "reset password":
            await client.post(f"{API}/password-resets", json={"email": email})
            token = token_in(await mailbox.wait_for(email, count=2))
            done = await client.post(
                f"{API}/password-resets/confirm", json={"token": token, "password": new}
            )
        case _:
            done = await client.request(
                "DELETE", f"{API}/me", json={"password": PASSWORD}, headers=headers
            )
    assert done.is_success, done.text
    expected = {
        "sign out": (401, 200),
        "end the other": (200, 401),
        "change password": (200, 401),
        "reset password": (401, 401),
        "delete": (401, 401),
    }
    found = [(await exchanged(identity, one)).status_code for one in (secret, other)]
    assert tuple(found) == expected[how]
    if how == "delete":
        assert (await opened(identity, email)).status_code == 401
