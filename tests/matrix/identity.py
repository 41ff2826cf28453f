"""Real accounts with real sessions: identity lets nobody in whose session it does not know."""

import asyncio
from typing import Any
from uuid import uuid4

from chassis.auth import Role
from chassis.ids import new_id
from tests.mailbox import Mailbox, token_in
from tests.matrix.table import Row
from tests.matrix.world import PEOPLE, ROLES, Call, Headers, World
from tests.stand import Stand

API = "/api/identity"
PASSWORD = "Sept-Péniches-Bleues-42"


class IdentityWorld(World):
    """Everybody has an account."""

    def __init__(self, stand: Stand, mailbox: Mailbox) -> None:
        super().__init__(stand, mailbox)
        self.emails: dict[str, str] = {}
        self.sessions: dict[str, Headers] = {}

    async def build(self) -> None:
        await asyncio.gather(*(self.sign_up(name) for name in PEOPLE))

    def person(self, caller: str) -> Headers:
        return self.sessions[caller]

    async def post(self, path: str, json: dict[str, Any]) -> dict[str, Any]:
        answer = await self.stand.client.post(f"{API}{path}", json=json)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    async def sign_up(self, name: str) -> None:
        """Give the caller an account and a session."""
        email = f"{uuid4().hex}@entreprise.example"
        self.emails[name], self.sessions[name] = email, await self.account(name, email)

    async def account(self, name: str, email: str) -> Headers:
        """A session of a new account with the roles of that caller."""
        body = {"email": email, "password": PASSWORD, "notice_version": "2026-11"}
        await self.post("/accounts", body)
        await self.post("/accounts/verify", {"token": token_in(await self.mailbox.wait_for(email))})
        if roles := ROLES.get(name):
            given = await self.stand.client.put(
                f"{API}/roles",
                json={"email": email, "roles": [role.value for role in roles]},
                headers=self.stand.token(new_id(), roles=[Role.OPERATOR]),
            )
            assert given.status_code == 204, given.text
        return _bearer(await self.sign_in(email))

    async def sign_in(self, email: str) -> dict[str, Any]:
        return await self.post("/sessions", {"email": email, "password": PASSWORD})

    def hidden(self, caller: str) -> set[str]:
        return {email for name, email in self.emails.items() if name != caller}


def _bearer(pair: dict[str, Any]) -> Headers:
    return {"Authorization": f"Bearer {pair['access_token']}"}


World_ = IdentityWorld


async def _sign_up(*_: Any) -> Call:
    email = f"{uuid4().hex}@entreprise.example"
    return Call(send={"json": {"email": email, "password": PASSWORD, "notice_version": "2026-11"}})


async def _link(*_: Any) -> Call:
    return Call(send={"json": {"token": uuid4().hex}})


async def _sign_in(world: World_, *_: Any) -> Call:
    return Call(send={"json": {"email": world.emails["owner"], "password": PASSWORD}})


async def _refresh(world: World_, *_: Any) -> Call:
    pair = await world.sign_in(world.emails["owner"])
    return Call(send={"json": {"refresh_token": pair["refresh_token"]}})


async def _browser_secret(world: World_, *_: Any) -> Call:
    answer = await world.stand.client.post(
        f"{API}/browser-sessions",
        json={"email": world.emails["owner"], "password": PASSWORD},
        headers=world.stand.token(scopes=["identity:browser-sessions"]),
    )
    return Call(send={"json": {"secret": answer.json()["secret"]}})


async def _sign_out(world: World_, _: Row, caller: str) -> Call:
    """Whoever is let in ends another session than the one that other rows need."""
    if not world.fresh:
        return Call()
    return Call(headers=_bearer(await world.sign_in(world.emails[caller])))


async def _end_session(world: World_, *_: Any) -> Call:
    """Another session of the owner's than the one that other rows need."""

    async def another() -> str:
        headers = _bearer(await world.sign_in(world.emails["owner"]))
        listed = await world.stand.client.get(f"{API}/me/sessions", headers=headers)
        return str(next(one["id"] for one in listed.json() if one["current"]))

    return Call(path={"session_id": await world.thing("session", another)}, thing=True)


async def _password(*_: Any) -> Call:
    return Call(send={"json": {"current": PASSWORD, "new": PASSWORD}})


async def _delete(world: World_, _: Row, caller: str) -> Call:
    headers = {}
    if world.fresh:
        headers = await world.account(caller, f"{uuid4().hex}@entreprise.example")
    return Call(headers=headers, send={"json": {"password": PASSWORD}})


async def _reset(world: World_, *_: Any) -> Call:
    return Call(send={"json": {"email": world.emails["owner"]}})


async def _new_password(*_: Any) -> Call:
    return Call(send={"json": {"token": uuid4().hex, "password": PASSWORD}})


async def _roles(world: World_, *_: Any) -> Call:
    return Call(send={"json": {"email": world.emails["neighbour"], "roles": []}})


async def _client(world: World_, *_: Any) -> Call:
    secret = (world.stand.layout.secrets / "privacy" / "client_secret").read_text()
    given = {"grant_type": "client_credentials", "client_id": "privacy", "client_secret": secret}
    return Call(send={"data": given})


async def _addresses(*_: Any) -> Call:
    return Call(send={"json": {"account_ids": [str(new_id())]}})


IdentityWorld.recipes = {
    f"POST {API}/accounts": _sign_up,
    f"POST {API}/accounts/verify": _link,
    f"POST {API}/sessions": _sign_in,
    f"POST {API}/sessions/refresh": _refresh,
    f"POST {API}/browser-sessions": _sign_in,
    f"POST {API}/browser-sessions/token": _browser_secret,
    f"DELETE {API}/sessions/current": _sign_out,
    f"DELETE {API}/me/sessions/{{session_id}}": _end_session,
    f"PUT {API}/me/password": _password,
    f"DELETE {API}/me": _delete,
    f"POST {API}/password-resets": _reset,
    f"POST {API}/password-resets/confirm": _new_password,
    f"PUT {API}/roles": _roles,
    f"POST {API}/oauth/token": _client,
    "POST /internal/addresses": _addresses,
    "POST /internal/accounts/by-address": _reset,
}
