"""Who is calling: ES256 access tokens (RFC 9068) checked against identity's keys.

A token is refused when it is expired, from another issuer, for another audience, signed by another
key - or when its account was erased here, however valid it still looks.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Protocol
from uuid import UUID

import httpx2
import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import select

from chassis import clock
from chassis.errors import ForbiddenError, NotAuthenticatedError, UnavailableError
from chassis.session import SessionDep, runtime_of
from chassis.tables import data_subject

ALGORITHMS = ["ES256"]
_KEYS_FRESH_FOR = 300.0
_REFETCH_AT_MOST_EVERY = 5.0
_LEEWAY = 30


class Role(StrEnum):
    """Platform-wide roles; what somebody may do in one community or company is not among them."""

    BUYER = "buyer"
    AGENT = "agent"
    DPO = "dpo"
    OPERATOR = "operator"


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A caller: a person with roles, or a client with scopes."""

    subject: str
    """The account id of a person, or the id of a client."""
    session_id: UUID | None
    roles: frozenset[Role]
    scopes: frozenset[str]

    @property
    def account_id(self) -> UUID:
        """The person; raises `ForbiddenError` for a client, who is nobody."""
        if self.session_id is None:
            raise ForbiddenError("Cette action est réservée aux personnes.")
        return UUID(self.subject)

    def has(self, role: Role) -> bool:
        """Whether the person holds a platform role."""
        return role in self.roles


class KeySource(Protocol):
    """Where verification keys come from."""

    async def keys(self, *, renew: bool = False) -> KeySet:
        """The keys in use; `renew` asks again because an unknown kid was seen."""
        ...


class RemoteKeys:
    """Identity's JWKS, kept for five minutes, fetched again (not more often than every five
    seconds) when a token names an unknown key. The old set serves while identity is away.
    """

    def __init__(self, url: str, client: httpx2.AsyncClient) -> None:
        self._url = url
        self._client = client
        self._keys: KeySet | None = None
        self._fetched = float("-inf")
        self._lock = asyncio.Lock()

    async def keys(self, *, renew: bool = False) -> KeySet:
        """See `KeySource`. Raises `UnavailableError` when there never was a key set."""
        async with self._lock:
            age = time.monotonic() - self._fetched
            if age > (_REFETCH_AT_MOST_EVERY if renew else _KEYS_FRESH_FOR):
                await self._fetch()
            if self._keys is None:
                raise UnavailableError("Les clés d'authentification sont indisponibles.")
            return self._keys

    async def _fetch(self) -> None:
        try:
            answer = await self._client.get(self._url)
            answer.raise_for_status()
            self._keys = KeySet.import_key_set(answer.json())
            self._fetched = time.monotonic()
        except (httpx2.HTTPError, ValueError, JoseError):
            if self._keys is None:
                raise UnavailableError("Les clés d'authentification sont indisponibles.") from None


@dataclass(frozen=True, kw_only=True)
class TokenVerifier:
    """Turns a bearer token into a principal, for one service."""

    issuer: str
    audience: str
    source: KeySource

    async def verify(self, token: str) -> Principal:
        """Raises `NotAuthenticatedError` for any token that is not valid here and now."""
        claims = await self.claims(token, kind="at+jwt")
        audience = claims.get("aud")
        if self.audience not in (audience if isinstance(audience, list) else [audience]):
            raise NotAuthenticatedError("Ce jeton n'est pas destiné à ce service.")
        known = set(Role)
        return Principal(
            subject=str(claims["sub"]),
            session_id=UUID(claims["sid"]) if "sid" in claims else None,
            roles=frozenset(Role(role) for role in claims.get("roles", ()) if role in known),
            scopes=frozenset(str(claims.get("scope", "")).split()),
        )

    async def claims(self, token: str, *, kind: str) -> Mapping[str, Any]:
        """The claims of a valid token of that `typ`; the same refusals as `verify`."""
        try:
            decoded = jwt.decode(token, await self.source.keys(), ALGORITHMS)
        except (JoseError, ValueError):  # perhaps of a key that is newer than what we have
            try:
                decoded = jwt.decode(token, await self.source.keys(renew=True), ALGORITHMS)
            except (JoseError, ValueError):
                raise NotAuthenticatedError("Le jeton est invalide.") from None
        if decoded.header.get("typ") != kind or decoded.claims.get("iss") != self.issuer:
            raise NotAuthenticatedError("Le jeton est invalide.")
        expires = decoded.claims.get("exp")
        if not isinstance(expires, int) or expires + _LEEWAY < clock.now().timestamp():
            raise NotAuthenticatedError("Le jeton a expiré.")
        return decoded.claims


_bearer = HTTPBearer(auto_error=False, description="Access token of `POST /api/identity/sessions`")
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def current_principal(request: Request, session: SessionDep, bearer: Bearer) -> Principal:
    """The caller. A person who was erased here is nobody, whatever the token says."""
    if bearer is None:
        raise NotAuthenticatedError("Un jeton d'accès est nécessaire.")
    principal = await runtime_of(request).tokens.verify(bearer.credentials)
    if principal.session_id is not None:
        erased = await session.scalar(
            select(data_subject.c.erased_at).where(data_subject.c.id == principal.account_id)
        )
        if erased is not None:
            raise NotAuthenticatedError("Ce compte a été effacé.")
    structlog.contextvars.bind_contextvars(actor=principal.subject)
    return principal


async def current_user(principal: Annotated[Principal, Depends(current_principal)]) -> Principal:
    """The caller, who must be a person."""
    _ = principal.account_id
    return principal


async def optional_user(request: Request, session: SessionDep, bearer: Bearer) -> Principal | None:
    """The caller if a token came along, None for a visitor; a bad token is still refused."""
    return None if bearer is None else await current_principal(request, session, bearer)


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]
CurrentUser = Annotated[Principal, Depends(current_user)]
OptionalUser = Annotated[Principal | None, Depends(optional_user)]
OPTIONAL: dict[str, Any] = {"security": [{}]}
"""`openapi_extra` of routes that take no token, too: FastAPI calls every token necessary."""


def require_role(*roles: Role) -> Callable[..., Any]:
    """A dependency that lets in persons who hold one of these platform roles."""

    async def dependency(user: CurrentUser) -> Principal:
        if not user.roles & set(roles):
            raise ForbiddenError("Votre compte n'a pas le rôle nécessaire.")
        return user

    return dependency


def require_scope(scope: str) -> Callable[..., Any]:
    """A dependency that lets in clients whose token carries this scope."""

    async def dependency(principal: CurrentPrincipal) -> Principal:
        if principal.session_id is not None or scope not in principal.scopes:
            raise ForbiddenError("Ce jeton n'a pas la portée nécessaire.")
        return principal

    return dependency
