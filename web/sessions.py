"""Who is there: the cookie, exchanged at identity for a token that never reaches the browser."""

import time
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import structlog
from fastapi import Depends, Request
from starlette.responses import Response

from chassis.ids import new_id
from web.gateway import Api, ApiError
from web.runtime import Known, Runtime, runtime_of

COOKIE = "__Host-session"
HOME_OF_MEMBERS = "/tableau-de-bord"
KEPT_FOR_S = 10.0
"""A session that was ended elsewhere is believed for so long at most: about one page's reading."""


class LoginNeededError(Exception):
    """The page is for people who are signed in, and this visitor is not, or no longer."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who is signed in, and what the site may show them."""

    account_id: str
    roles: frozenset[str]
    manages: tuple[dict[str, Any], ...]
    """The communities that this person runs, or looks after for a chamber."""
    api: Api = field(repr=False)

    @property
    def kinds(self) -> frozenset[str]:
        """What menus are made for: a member, a role, an animator."""
        return self.roles | {"member"} | ({"manager"} if self.manages else set())


async def sign_in(request: Request, *, email: str, password: str) -> str:
    """Open a session at identity; returns the secret for the cookie. Raises `ApiError`."""
    runtime = runtime_of(request)
    answer = await runtime.as_client(
        "identity/browser-sessions", {"email": email, "password": password}, api=visitor(request)
    )
    return str(answer["secret"])


def set_cookie(response: Response, secret: str) -> None:
    """Until the browser closes; identity ends it after a month whatever the browser does."""
    response.set_cookie(COOKIE, secret, path="/", secure=True, httponly=True, samesite="lax")


def clear_cookie(request: Request, response: Response) -> None:
    """Forget the session here, and let the browser forget it."""
    if secret := request.cookies.get(COOKIE):
        runtime_of(request).exchanges.forget(secret)
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")


async def person_of(request: Request) -> Person | None:
    """Who is signed in, or None. Raises `ApiError` when identity does not answer."""
    secret = request.cookies.get(COOKIE)
    if not secret:
        return None
    runtime = runtime_of(request)
    known = runtime.exchanges.get(secret)
    if known is None:
        try:
            known = await _exchange(request, runtime, secret)
        except ApiError as refused:
            # 422: what the cookie holds is no secret at all.
            if refused.status not in {401, 422}:
                raise
            return None
        runtime.exchanges.keep(secret, known)
    return Person(
        account_id=known.account_id,
        roles=known.roles,
        manages=known.manages,
        api=visitor(request).bearing(known.token),
    )


async def _exchange(request: Request, runtime: Runtime, secret: str) -> Known:
    asked = time.monotonic()
    given = await runtime.as_client(
        "identity/browser-sessions/token", {"secret": secret}, api=visitor(request)
    )
    token = str(given["access_token"])
    manages = await visitor(request).bearing(token).get("directory/me/managed-communities")
    return Known(
        account_id=str(given["account_id"]),
        roles=frozenset(given["roles"]),
        manages=tuple(manages),
        token=token,
        until=asked + min(KEPT_FOR_S, float(given["expires_in"]) / 2),
    )


def visitor(request: Request) -> Api:
    """The interface for who is not signed in, with the address that limits count by."""
    state = request.scope.setdefault("state", {})
    headers = {
        "X-Forwarded-For": _address(request),
        "X-Request-Id": state.setdefault("request_id", str(new_id())),
    }
    return Api(http=runtime_of(request).http, headers=headers)


def _address(request: Request) -> str:
    """As the gateway saw it: the last of the chain is the one it wrote itself."""
    chain = request.headers.get("x-forwarded-for", "")
    last = chain.rpartition(",")[2].strip()
    return last or (request.client.host if request.client else "")


async def optional_person(request: Request) -> Person | None:
    if not hasattr(request.state, "person"):
        request.state.person = await person_of(request)
    found: Person | None = request.state.person
    if found is not None:
        structlog.contextvars.bind_contextvars(actor=found.account_id)
    return found


async def current_person(request: Request) -> Person:
    person = await optional_person(request)
    if person is None:
        raise LoginNeededError
    return person


OptionalPerson = Annotated[Person | None, Depends(optional_person)]
"""Who is signed in, if anybody is."""
CurrentPerson = Annotated[Person, Depends(current_person)]
"""Who is signed in; everybody else is sent to sign in, and comes back."""


async def any_api(request: Request, person: OptionalPerson) -> Api:
    return person.api if person else visitor(request)


AnyApi = Annotated[Api, Depends(any_api)]
"""The interface as whoever is there."""


def local_path(path: str, *, otherwise: str = HOME_OF_MEMBERS) -> str:
    """The path if it is one of ours, never an address elsewhere: `http:`, `//host` and its disguises."""
    parts = urlsplit(path) if path.startswith("/") else None
    foreign = (
        parts is None
        or parts.scheme
        or parts.netloc
        or path.startswith(("//", "/api/"))
        or "\\" in path
        or any(ord(letter) < 33 or ord(letter) == 127 for letter in path)
    )
    return otherwise if foreign else path


def login_path(request: Request) -> str:
    """Where to sign in, and the page to come back to."""
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"/connexion?suite={quote(local_path(asked), safe='')}"
