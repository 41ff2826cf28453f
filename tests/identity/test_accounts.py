"""Signing up, confirming, signing in, staying signed in, getting back in, leaving."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import httpx2
import pytest

from chassis import clock
from contracts.identity import AccountLocked, AccountOpened, AccountVerified
from tests.mailbox import Mailbox, token_in
from tests.stand import Stand

PASSWORD = "Sept-Péniches-Bleues-42"


def an_address() -> str:
    return f"{uuid4().hex}@entreprise.example"


async def sign_up(identity: Stand, email: str, password: str = PASSWORD) -> httpx2.Response:
    return await identity.client.post(
        "/api/identity/accounts",
        json={"email": email, "password": password, "notice_version": "2026-11"},
    )


async def a_member(identity: Stand, mailbox: Mailbox) -> str:
    """The address of a confirmed account."""
    email = an_address()
    assert (await sign_up(identity, email)).status_code == 202
    token = token_in(await mailbox.wait_for(email))
    answer = await identity.client.post("/api/identity/accounts/verify", json={"token": token})
    assert answer.status_code == 204, answer.text
    return email


async def sign_in(identity: Stand, email: str, password: str = PASSWORD) -> httpx2.Response:
    return await identity.client.post(
        "/api/identity/sessions", json={"email": email, "password": password}
    )


async def signed_in(identity: Stand, email: str) -> tuple[dict[str, str], str]:
    answer = await sign_in(identity, email)
    assert answer.status_code == 201, answer.text
    pair = answer.json()
    return {"Authorization": f"Bearer {pair['access_token']}"}, pair["refresh_token"]


async def test_an_account_is_opened_confirmed_and_used(identity: Stand, mailbox: Mailbox) -> None:
    email = await a_member(identity, mailbox)
    headers, _ = await signed_in(identity, email)
    me = (await identity.client.get("/api/identity/me", headers=headers)).json()
    assert (me["email"], me["state"]) == (email, "active")
    opened = await identity.hear(AccountOpened, account_id=me["account_id"])
    assert opened["notice_version"] == "2026-11"
    await identity.hear(AccountVerified, account_id=me["account_id"])
    assert email not in str(identity.heard)


async def test_sign_up_never_says_whether_an_address_is_known(
    identity: Stand, mailbox: Mailbox
) -> None:
    email = await a_member(identity, mailbox)
    again = await sign_up(identity, email)
    unknown = await sign_up(identity, an_address())
    assert (again.status_code, again.json()) == (unknown.status_code, unknown.json()) == (202, {})
    assert "déjà un compte" in (await mailbox.wait_for(email, count=2)).get_content()
    assert (await sign_in(identity, email)).status_code == 201


async def test_a_stranger_who_signed_up_first_does_not_get_in_when_the_owner_confirms(
    identity: Stand, mailbox: Mailbox
) -> None:
    email = an_address()
    await sign_up(identity, email, "Le-Mot-Du-Voleur-99")
    await mailbox.wait_for(email)
    await sign_up(identity, email, PASSWORD)
    token = token_in(await mailbox.wait_for(email, count=2))
    await identity.client.post("/api/identity/accounts/verify", json={"token": token})
    assert (await sign_in(identity, email, "Le-Mot-Du-Voleur-99")).status_code == 401
    assert (await sign_in(identity, email, PASSWORD)).status_code == 201


async def test_nobody_s_mailbox_is_filled_and_no_link_is_withheld(
    identity: Stand, mailbox: Mailbox
) -> None:
    email = an_address()
    for number in range(6):
        assert (await sign_up(identity, email, f"Le-Mot-Du-Voleur-{number}")).status_code == 202
    assert (await sign_up(identity, email, PASSWORD)).status_code == 202  # its owner comes last
    await mailbox.wait_for(email, count=5)
    due = (
        "SELECT extract(epoch FROM due_at - asked_at)::int AS s FROM mailed_link"
        " JOIN account ON account.id = account_id WHERE email = $1 AND due_at IS NOT NULL"
        " ORDER BY due_at"
    )
    await identity.eventually(f"SELECT count(*) = 2 FROM ({due}) AS waiting", email)
    assert [row["s"] // 60 for row in await identity.rows(due, email)] == [12, 24]
    assert len(mailbox.to(email)) == 5
    clock.shift(timedelta(minutes=25))
    try:
        token = token_in(await mailbox.wait_for(email, count=7))
        done = await identity.client.post("/api/identity/accounts/verify", json={"token": token})
        assert done.status_code == 204
        assert (await sign_in(identity, email, PASSWORD)).status_code == 201
        for _ in range(6):
            await identity.client.post("/api/identity/password-resets", json={"email": email})
        await mailbox.wait_for(email, count=7 + 5)
        await identity.eventually(f"SELECT count(*) = 1 FROM ({due}) AS waiting", email)
    finally:
        clock.shift(timedelta(0))


async def test_an_unconfirmed_account_cannot_be_used(identity: Stand) -> None:
    email = an_address()
    await sign_up(identity, email)
    assert (await sign_in(identity, email)).json()["type"].endswith("wrong-credentials")


async def test_a_link_serves_once(identity: Stand, mailbox: Mailbox) -> None:
    email = an_address()
    await sign_up(identity, email)
    body = {"token": token_in(await mailbox.wait_for(email))}
    assert (
        await identity.client.post("/api/identity/accounts/verify", json=body)
    ).status_code == 204
    second = await identity.client.post("/api/identity/accounts/verify", json=body)
    assert second.status_code == 410
    assert second.json()["type"].endswith("link-expired")


@pytest.mark.parametrize("password", ["court", "12345678", "azertyuiop", "password123456"])
async def test_weak_and_known_passwords_are_refused(identity: Stand, password: str) -> None:
    answer = await sign_up(identity, an_address(), password)
    assert answer.status_code == 422
    assert answer.json()["type"].endswith("weak-password")


async def test_ten_wrong_passwords_close_the_door_even_to_the_right_one(
    identity: Stand, mailbox: Mailbox
) -> None:
    email, unknown = await a_member(identity, mailbox), an_address()
    for address in (email, unknown):
        for _ in range(10):
            assert (await sign_in(identity, address, "faux-mot-de-passe")).status_code == 401
        answer = await sign_in(identity, address, PASSWORD)
        assert answer.status_code == 429
        assert answer.json()["type"].endswith("too-many-attempts")
        assert int(answer.headers["Retry-After"]) > 0
    clock.shift(timedelta(minutes=16))
    try:
        assert (await sign_in(identity, email)).status_code == 201
    finally:
        clock.shift(timedelta(0))


async def test_ten_wrong_passwords_inside_a_session_close_it_to_guessing_and_not_to_signing_in(
    identity: Stand, mailbox: Mailbox
) -> None:
    email = await a_member(identity, mailbox)
    headers, _ = await signed_in(identity, email)

    async def leave(password: str) -> httpx2.Response:
        return await identity.client.request(
            "DELETE", "/api/identity/me", json={"password": password}, headers=headers
        )

    async def change(current: str) -> httpx2.Response:
        body = {"current": current, "new": f"{PASSWORD}-nouveau"}
        return await identity.client.put("/api/identity/me/password", json=body, headers=headers)

    for attempt in [leave, change] * 5:
        assert (await attempt("faux-mot-de-passe")).status_code == 401
    for attempt in (leave, change):
        assert (await attempt(PASSWORD)).status_code == 429
    assert (await sign_in(identity, email)).status_code == 201
    for _ in range(10):  # and nobody outside can keep somebody from leaving
        assert (await sign_in(identity, email, "faux-mot-de-passe")).status_code == 401
    clock.shift(timedelta(minutes=16))
    try:
        headers, _ = await signed_in(identity, email)
        for _ in range(10):
            assert (await sign_in(identity, email, "faux-mot-de-passe")).status_code == 401
        assert (await leave(PASSWORD)).status_code == 202
    finally:
        clock.shift(timedelta(0))


async def test_a_refresh_token_rotates_and_a_stolen_one_ends_the_session(
    identity: Stand, mailbox: Mailbox
) -> None:
    headers, first = await signed_in(identity, await a_member(identity, mailbox))
    renewed = await identity.client.post(
        "/api/identity/sessions/refresh", json={"refresh_token": first}
    )
    assert renewed.status_code == 200
    second = renewed.json()["refresh_token"]
    for token in (first, second):
        answer = await identity.client.post(
            "/api/identity/sessions/refresh", json={"refresh_token": token}
        )
        assert answer.status_code == 401
    assert (await identity.client.get("/api/identity/me", headers=headers)).status_code == 401


async def test_signing_out_ends_the_session(identity: Stand, mailbox: Mailbox) -> None:
    headers, token = await signed_in(identity, await a_member(identity, mailbox))
    gone = await identity.client.delete("/api/identity/sessions/current", headers=headers)
    assert gone.status_code == 204
    assert (await identity.client.get("/api/identity/me", headers=headers)).status_code == 401
    refused = await identity.client.post(
        "/api/identity/sessions/refresh", json={"refresh_token": token}
    )
    assert refused.status_code == 401


async def test_a_forgotten_password_is_replaced_and_sessions_end(
    identity: Stand, mailbox: Mailbox
) -> None:
    email = await a_member(identity, mailbox)
    headers, _ = await signed_in(identity, email)
    for address in (email, an_address()):
        asked = await identity.client.post("/api/identity/password-resets", json={"email": address})
        assert asked.status_code == 202
    token = token_in(await mailbox.wait_for(email, count=2))
    done = await identity.client.post(
        "/api/identity/password-resets/confirm",
        json={"token": token, "password": "Trois-Moulins-Verts-7"},
    )
    assert done.status_code == 204
    assert (await sign_in(identity, email)).status_code == 401
    assert (await sign_in(identity, email, "Trois-Moulins-Verts-7")).status_code == 201
    assert (await identity.client.get("/api/identity/me", headers=headers)).status_code == 401


async def test_deleting_the_account_locks_it_and_tells_privacy(
    identity: Stand, mailbox: Mailbox
) -> None:
    email = await a_member(identity, mailbox)
    headers, _ = await signed_in(identity, email)
    me = (await identity.client.get("/api/identity/me", headers=headers)).json()
    wrong = await identity.client.request(
        "DELETE", "/api/identity/me", json={"password": "faux"}, headers=headers
    )
    assert wrong.status_code == 401
    accepted = await identity.client.request(
        "DELETE", "/api/identity/me", json={"password": PASSWORD}, headers=headers
    )
    assert accepted.status_code == 202, accepted.text
    body = accepted.json()
    assert accepted.headers["Location"] == f"/api/privacy/erasures/{body['erasure_id']}"
    locked = await identity.hear(AccountLocked, account_id=me["account_id"])
    assert locked["erasure_id"] == body["erasure_id"]
    assert body["key"] not in str(identity.heard)
    assert (await sign_in(identity, email)).status_code == 401
    assert (await identity.client.get("/api/identity/me", headers=headers)).status_code == 401
    assert UUID(body["erasure_id"])
    clock.shift(timedelta(seconds=30))
    try:
        for _ in range(500):
            if identity.heard_count(AccountLocked, account_id=me["account_id"]) > 1:
                break
            await asyncio.sleep(0.02)
        else:
            pytest.fail("the wish to be deleted was not told again")
    finally:
        clock.shift(timedelta(0))
