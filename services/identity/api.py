"""The HTTP door of identity."""

import hmac
import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request, Response

from chassis import clock, crash
from chassis.auth import CurrentUser, Role, require_role, require_scope
from chassis.evidence import ALGORITHM
from chassis.session import SessionDep, runtime_of
from services.identity import queries
from services.identity.actions import accounts
from services.identity.actions import sessions as session_actions
from services.identity.credentials import (
    ACCESS_LIFETIME,
    AUDIENCES,
    TokenKeys,
    access_claims,
    address_hmac,
    erasure_key_claims,
    secret_hash,
)
from services.identity.errors import (
    RefreshRefusedError,
    UnknownClientError,
    WrongCredentialsError,
)
from services.identity.models import Session
from services.identity.schemas import (
    AccountFound,
    AccountLookup,
    Address,
    AddressRequest,
    BrowserSecret,
    BrowserSession,
    BrowserToken,
    ClientToken,
    DeleteMe,
    DeletionAccepted,
    LinkToken,
    Me,
    PasswordChange,
    Refresh,
    ResetConfirm,
    ResetRequest,
    RoleAssignment,
    SessionView,
    SignIn,
    SignUp,
    TokenPair,
)

router = APIRouter(prefix="/api/identity", tags=["identity"])
metadata_router = APIRouter(tags=["metadata"])
internal_router = APIRouter(prefix="/internal", include_in_schema=False)

_EMPTY: dict[str, Any] = {}
_OF_THE_SITE = [Depends(require_scope("identity:browser-sessions"))]

SignInAction = Callable[..., Awaitable[tuple[Session, str]]]


def token_keys(request: Request) -> TokenKeys:
    """The keys that sign tokens."""
    keys: TokenKeys = runtime_of(request).tokens.source  # type: ignore[assignment]
    return keys


Keys = Annotated[TokenKeys, Depends(token_keys)]


def _access_token(
    request: Request, keys: TokenKeys, opened: Session, roles: Sequence[Role]
) -> tuple[str, int]:
    """A person's access token, and how many seconds it is good for."""
    claims = access_claims(
        issuer=runtime_of(request).settings.issuer,
        subject=str(opened.account_id),
        now=clock.now(),
        session_id=opened.id,
        roles=roles,
    )
    return keys.sign("at+jwt", claims), int(ACCESS_LIFETIME.total_seconds())


async def _pair(
    request: Request, session: SessionDep, keys: TokenKeys, opened: Session, refresh_token: str
) -> TokenPair:
    roles = await queries.roles_of(session, account_id=opened.account_id)
    token, seconds = _access_token(request, keys, opened, roles)
    return TokenPair(access_token=token, expires_in=seconds, refresh_token=refresh_token)


@asynccontextmanager
async def _attempt(
    request: Request, session: SessionDep, *, at: str, account_id: UUID | None
) -> AsyncIterator[None]:
    """Around the use of a password: `TooManyAttemptsError` after ten wrong ones in a row.

    `at` is what was tried: an address, or an account from inside its session. They are counted apart,
    so that nobody outside can keep somebody inside from leaving.
    """
    pseudonym = address_hmac(runtime_of(request).settings.secret("throttle.key"), at)
    failed = await session_actions.failed_before(session, address_hmac=pseudonym)
    try:
        yield
    except WrongCredentialsError:  # counted in a transaction that it does not undo
        async with runtime_of(request).db.transaction() as counting:
            await session_actions.note_failure(
                counting, account_id=account_id, address_hmac=pseudonym
            )
        crash.point("identity.after_failure_noted")
        raise
    if failed is not None:
        await session.delete(failed)


async def _sign_in(
    body: SignIn, request: Request, session: SessionDep, sign_in: SignInAction
) -> tuple[Session, str]:
    known = await queries.account_by_email(session, email=body.email)
    account_id = known.id if known else None
    async with _attempt(request, session, at=body.email, account_id=account_id):
        return await sign_in(session, email=body.email, password=body.password.get_secret_value())


@router.post("/accounts", status_code=HTTPStatus.ACCEPTED)
async def sign_up(body: SignUp, session: SessionDep) -> dict[str, Any]:
    """Open an account. The answer is the same whether or not the address is known."""
    await accounts.sign_up(
        session,
        email=body.email,
        password=body.password.get_secret_value(),
        notice_version=body.notice_version,
    )
    return _EMPTY


@router.post("/accounts/verify", status_code=HTTPStatus.NO_CONTENT)
async def verify(body: LinkToken, session: SessionDep) -> None:
    """Confirm the address with the token of the mailed link."""
    await accounts.verify(session, token=body.token)


@router.post("/sessions", status_code=HTTPStatus.CREATED)
async def sign_in(body: SignIn, request: Request, session: SessionDep, keys: Keys) -> TokenPair:
    """Sign in. Every failure looks alike; after ten in a row even the right password waits."""
    opened, refresh_token = await _sign_in(body, request, session, session_actions.sign_in)
    return await _pair(request, session, keys, opened, refresh_token)


@router.post("/browser-sessions", status_code=HTTPStatus.CREATED, dependencies=_OF_THE_SITE)
async def sign_in_browser(body: SignIn, request: Request, session: SessionDep) -> BrowserSession:
    """Sign in for the site, which keeps the secret in a cookie. Failures are those of `sessions`."""
    opened, secret = await _sign_in(body, request, session, session_actions.sign_in_browser)
    roles = await queries.roles_of(session, account_id=opened.account_id)
    return BrowserSession(secret=secret, account_id=opened.account_id, roles=roles)


@router.post("/browser-sessions/token", dependencies=_OF_THE_SITE)
async def browser_token(
    body: BrowserSecret, request: Request, session: SessionDep, keys: Keys
) -> BrowserToken:
    """Exchange the secret of a cookie for an access token, which never reaches the browser."""
    opened = await session_actions.of_browser(session, secret=body.secret)
    roles = await queries.roles_of(session, account_id=opened.account_id)
    token, seconds = _access_token(request, keys, opened, roles)
    return BrowserToken(
        access_token=token, expires_in=seconds, account_id=opened.account_id, roles=roles
    )


@router.post("/sessions/refresh")
async def refresh(body: Refresh, request: Request, keys: Keys) -> TokenPair:
    """Get the next pair. A token that comes twice ends its session: one of the two was stolen."""
    async with runtime_of(request).db.transaction() as session:
        rotated = await session_actions.refresh(session, token=body.refresh_token)
        pair = await _pair(request, session, keys, *rotated) if rotated else None
    crash.point("identity.after_refresh")
    if pair is None:
        raise RefreshRefusedError("Cette session est terminée : connectez-vous à nouveau.")
    return pair


@router.delete("/sessions/current", status_code=HTTPStatus.NO_CONTENT)
async def sign_out(session: SessionDep, user: CurrentUser) -> None:
    """End the session of this token."""
    account = await queries.own_account(session, viewer=user)
    if user.session_id is not None:
        await session_actions.end(session, owner=user, session_id=user.session_id)
    del account


@router.get("/me")
async def me(session: SessionDep, user: CurrentUser) -> Me:
    """The caller's account."""
    account = await queries.own_account(session, viewer=user)
    return Me(
        account_id=account.id,
        email=account.email,
        state=account.state,
        notice_version=account.notice_version,
        opened_at=account.opened_at,
        verified_at=account.verified_at,
        roles=await queries.roles_of(session, account_id=account.id),
    )


@router.get("/me/sessions")
async def sessions(session: SessionDep, user: CurrentUser) -> list[SessionView]:
    """The caller's open sessions."""
    await queries.own_account(session, viewer=user)
    return [
        SessionView(
            id=opened.id,
            opened_at=opened.opened_at,
            last_used_at=opened.last_used_at,
            current=opened.id == user.session_id,
        )
        for opened in await queries.own_sessions(session, viewer=user)
    ]


@router.delete("/me/sessions/{session_id}", status_code=HTTPStatus.NO_CONTENT)
async def end_session(session_id: UUID, session: SessionDep, user: CurrentUser) -> None:
    """End one of the caller's sessions, on whatever device it is."""
    await queries.own_account(session, viewer=user)
    await session_actions.end(session, owner=user, session_id=session_id)


@router.put("/me/password", status_code=HTTPStatus.NO_CONTENT)
async def change_password(
    body: PasswordChange, request: Request, session: SessionDep, user: CurrentUser
) -> None:
    """Change the password; every other session ends."""
    account = await queries.own_account(session, viewer=user)
    async with _attempt(request, session, at=str(account.id), account_id=account.id):
        await accounts.change_password(
            session,
            account=account,
            current=body.current.get_secret_value(),
            new=body.new.get_secret_value(),
            keep_session=user.session_id,
        )


@router.delete("/me", status_code=HTTPStatus.ACCEPTED)
async def delete_me(  # noqa: PLR0917 - FastAPI passes them by name
    body: DeleteMe,
    request: Request,
    response: Response,
    session: SessionDep,
    user: CurrentUser,
    keys: Keys,
) -> DeletionAccepted:
    """Delete the account, everywhere and for good. `key` follows the erasure; it is shown once."""
    account = await queries.own_account(session, viewer=user)
    async with _attempt(request, session, at=str(account.id), account_id=account.id):
        erasure_id = await accounts.request_deletion(
            session, account=account, password=body.password.get_secret_value()
        )
    claims = erasure_key_claims(
        issuer=runtime_of(request).settings.issuer, erasure_id=erasure_id, now=clock.now()
    )
    response.headers["Location"] = f"/api/privacy/erasures/{erasure_id}"
    return DeletionAccepted(erasure_id=erasure_id, key=keys.sign("erasure-key+jwt", claims))


@router.post("/password-resets", status_code=HTTPStatus.ACCEPTED)
async def request_reset(body: ResetRequest, session: SessionDep) -> dict[str, Any]:
    """Send a link for a new password, if the address has an account. The answer never says."""
    await accounts.request_reset(session, email=body.email)
    return _EMPTY


@router.post("/password-resets/confirm", status_code=HTTPStatus.NO_CONTENT)
async def reset_password(body: ResetConfirm, session: SessionDep) -> None:
    """Choose a new password with the token of the mailed link; every session ends."""
    await accounts.reset_password(
        session, token=body.token, password=body.password.get_secret_value()
    )


@router.put(
    "/roles",
    status_code=HTTPStatus.NO_CONTENT,
    dependencies=[Depends(require_role(Role.OPERATOR))],
)
async def assign_roles(body: RoleAssignment, session: SessionDep) -> None:
    """Set the platform roles of an account (operators)."""
    await accounts.assign_roles(session, email=body.email, roles=body.roles)


@router.post("/oauth/token")
async def client_token(
    request: Request,
    keys: Keys,
    grant_type: Annotated[str, Form(pattern="^client_credentials$")],
    client_id: Annotated[str | None, Form(max_length=100)] = None,
    client_secret: Annotated[str | None, Form(max_length=500)] = None,
) -> ClientToken:
    """An access token for a registered service client (RFC 6749, section 4.4)."""
    del grant_type
    client_id, client_secret = _basic(request) or (client_id, client_secret)
    clients = json.loads(runtime_of(request).settings.secret("clients.json"))
    client = clients.get(client_id)
    expected = client["secret_sha256"] if client else secret_hash("nobody")
    same = hmac.compare_digest(expected, secret_hash(client_secret or ""))
    if client is None or client_id is None or not same:
        raise UnknownClientError
    claims = access_claims(
        issuer=runtime_of(request).settings.issuer,
        subject=client_id,
        now=clock.now(),
        scopes=client["scopes"],
    )
    return ClientToken(
        access_token=keys.sign("at+jwt", claims),
        expires_in=int(ACCESS_LIFETIME.total_seconds()),
        scope=" ".join(client["scopes"]),
    )


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = b64decode(encoded, validate=True).decode().partition(":")
    except (Base64Error, UnicodeDecodeError):
        raise UnknownClientError from None
    return name, secret


@metadata_router.get("/.well-known/jwks.json")
async def jwks(keys: Keys) -> dict[str, Any]:
    """The public keys of access tokens (RFC 7517)."""
    return keys.public()


@metadata_router.get("/.well-known/openid-configuration")
async def configuration(request: Request) -> dict[str, Any]:
    """Where what is (RFC 8414)."""
    issuer = runtime_of(request).settings.issuer
    return {
        "issuer": issuer,
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "token_endpoint": f"{issuer}/api/identity/oauth/token",
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "audiences_supported": AUDIENCES,
    }


@internal_router.post("/addresses", dependencies=[Depends(require_scope("identity:addresses"))])
async def addresses(body: AddressRequest, session: SessionDep) -> list[Address]:
    """Addresses for a mail that is being sent now; the caller must not keep them."""
    return await queries.addresses(session, account_ids=body.account_ids)


@internal_router.post(
    "/accounts/by-address", dependencies=[Depends(require_scope("identity:lookup"))]
)
async def account_of_address(body: AccountLookup, session: SessionDep) -> AccountFound:
    """Whose account an address is, for a rights request whose author controls that address."""
    found = await queries.account_by_email(session, email=body.email)
    return AccountFound(account_id=found.id if found else None)
