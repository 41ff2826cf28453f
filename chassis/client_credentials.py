"""Reading from another service: an access token by client credentials (RFC 6749, section 4.4)."""

import asyncio
import time
from collections.abc import AsyncGenerator
from http import HTTPStatus
from pathlib import Path

import httpx2

from chassis.errors import UnavailableError

_RENEW_BEFORE_END_S = 30


class ClientCredentials(httpx2.Auth):
    """This service's token, kept until half a minute before its end: the `auth` of a request.

    A token that is refused, as after a change of keys, is replaced, and the request made once more.
    A request raises `UnavailableError` when identity gives no token.
    """

    def __init__(
        self, *, http: httpx2.AsyncClient, identity_url: str, client_id: str, secret_file: Path
    ) -> None:
        self._http = http
        self._identity_url = identity_url
        self._client_id = client_id
        self._secret_file = secret_file
        self._token = ""
        self._ends = float("-inf")
        self._lock = asyncio.Lock()

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Called by the client for each request (httpx's way to extend it)."""
        request.headers["Authorization"] = await self._bearer()
        answer = yield request
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            self.forget()
            request.headers["Authorization"] = await self._bearer()
            yield request

    async def _bearer(self) -> str:
        async with self._lock:
            if time.monotonic() >= self._ends:
                await self._fetch()
        return f"Bearer {self._token}"

    def forget(self) -> None:
        """Let the next request bring another token."""
        self._ends = float("-inf")

    async def _fetch(self) -> None:
        asked = time.monotonic()
        try:
            answer = await self._http.post(
                f"{self._identity_url}/api/identity/oauth/token",
                data={"grant_type": "client_credentials"},
                auth=(self._client_id, self._secret_file.read_text(encoding="utf-8").strip()),
            )
            answer.raise_for_status()
            given = answer.json()
            self._token = str(given["access_token"])
            self._ends = asked + float(given["expires_in"]) - _RENEW_BEFORE_END_S
        except (httpx2.HTTPError, ValueError, LookupError, TypeError) as error:
            raise UnavailableError from error
