"""What a running site holds on to: a connection pool, its own token, tokens of the last minute."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from fastapi import Request

from chassis import tracing
from web.gateway import LIMITS, TIMEOUT, Api, ApiError, UnavailableError
from web.settings import Settings

CLIENT = "web"
_RENEW_BEFORE_END_S = 30
_KEPT_AT_MOST = 10_000
_ONCE_S = 60


@dataclass(frozen=True, kw_only=True)
class Known:
    """Whom a cookie's secret stands for, as identity said a moment ago."""

    account_id: str
    roles: frozenset[str]
    manages: tuple[dict[str, Any], ...]
    token: str = field(repr=False)
    until: float


class Exchanges:
    """Tokens of the last minute, by a hash of the secret they were given for."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}

    def get(self, secret: str) -> Known | None:
        found = self._known.get(_name(secret))
        return found if found is not None and time.monotonic() < found.until else None

    def keep(self, secret: str, known: Known) -> None:
        if len(self._known) >= _KEPT_AT_MOST:
            now = time.monotonic()
            self._known = {name: one for name, one in self._known.items() if now < one.until}
            while len(self._known) >= _KEPT_AT_MOST:
                self._known.pop(next(iter(self._known)))
        self._known[_name(secret)] = known

    def forget(self, secret: str) -> None:
        self._known.pop(_name(secret), None)


def _name(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(kw_only=True)
class Runtime:
    """One replica. Nothing in it is needed by another one, or after a restart."""

    settings: Settings
    http: httpx2.AsyncClient
    exchanges: Exchanges
    forms_key: bytes = field(repr=False)
    token: str = field(default="", repr=False)
    """Of the client `web` itself."""
    token_until: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    kept: dict[str, tuple[float, Any]] = field(default_factory=dict)
    """Public answers that hardly change, and until when they serve."""
    under_way: dict[str, asyncio.Task[Any]] = field(default_factory=dict, repr=False)
    """What was asked for `once` a moment ago."""

    async def once(self, name: str, ask: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Ask, and give the same answer to the same question for a minute; refusals are not kept.

        For keys that are given one single time: of a double click the browser hears the second answer.
        """
        task = self.under_way.get(name)
        if task is None:
            task = self.under_way[name] = asyncio.create_task(ask())
            asyncio.get_running_loop().call_later(_ONCE_S, self.under_way.pop, name, None)
        try:
            return await asyncio.shield(task)
        except Exception:
            self.under_way.pop(name, None)
            raise

    async def as_client(self, path: str, body: dict[str, Any], *, api: Api) -> Any:
        """Post as the client `web`; a token that is refused, after a change of keys, is replaced."""
        for attempt in (1, 2):
            try:
                return (await api.bearing(await self._own_token()).post(path, body)).data
            except ApiError as refused:
                if refused.slug != "not-authenticated":
                    raise
                if attempt == 2:
                    raise UnavailableError from refused
                self.token_until = float("-inf")
        raise AssertionError

    async def _own_token(self) -> str:
        async with self.lock:
            if time.monotonic() >= self.token_until:
                asked = time.monotonic()
                given = await Api(http=self.http).send(
                    "POST",
                    "identity/oauth/token",
                    data={"grant_type": "client_credentials"},
                    auth=(CLIENT, self.settings.secret("client_secret")),
                )
                self.token = str(given.data["access_token"])
                self.token_until = asked + float(given.data["expires_in"]) - _RENEW_BEFORE_END_S
            return self.token

    async def public(self, path: str, *, seconds: float = 60) -> Any:
        """A public answer, asked for once in so many seconds."""
        until, answer = self.kept.get(path, (float("-inf"), None))
        if time.monotonic() >= until:
            answer = await Api(http=self.http).get(path)
            self.kept[path] = (time.monotonic() + seconds, answer)
        return answer


def runtime_of(request: Request) -> Runtime:
    """The runtime of the application that answers."""
    found: Runtime = request.app.state.runtime
    return found


@asynccontextmanager
async def open_runtime(settings: Settings) -> AsyncIterator[Runtime]:
    """Raises `FileNotFoundError` when a secret is missing: better not to start."""
    settings.secret("client_secret")
    async with httpx2.AsyncClient(
        base_url=settings.gateway_url,
        timeout=TIMEOUT,
        limits=LIMITS,
        trust_env=False,
        event_hooks={"request": [tracing.passed_on]},
    ) as http:
        yield Runtime(
            settings=settings,
            http=http,
            exchanges=Exchanges(),
            forms_key=settings.secret("forms.key").encode(),
        )
