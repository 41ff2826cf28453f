"""Signing in, staying signed in, signing out."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock
from chassis.auth import Principal
from chassis.errors import NotFoundError
from services.identity import queries
from services.identity.credentials import new_secret, password_matches, secret_hash
from services.identity.errors import (
    BrowserSessionEndedError,
    RefreshRefusedError,
    TooManyAttemptsError,
    WrongCredentialsError,
)
from services.identity.models import (
    FAILURES_FORGOTTEN_AFTER,
    MAX_FAILURES,
    REFRESH_LIFETIME,
    LoginFailure,
    RefreshToken,
    Session,
)


async def sign_in(session: AsyncSession, *, email: str, password: str) -> tuple[Session, str]:
    """Open a session; returns it with its first refresh token (N6.1).

    Raises `WrongCredentialsError` alike for every failure.
    """
    opened = await _open(session, email=email, password=password)
    return opened, await _issue_refresh(session, opened)


async def sign_in_browser(
    session: AsyncSession, *, email: str, password: str
) -> tuple[Session, str]:
    """Open a session for the site; returns it with the secret of its cookie. Raises as `sign_in`."""
    opened = await _open(session, email=email, password=password)
    secret = new_secret()
    opened.browser_hash = secret_hash(secret)
    return opened, secret


async def of_browser(session: AsyncSession, *, secret: str) -> Session:
    """The session of a cookie's secret, which is used now; raises `BrowserSessionEndedError`."""
    now = clock.now()
    opened = await session.scalar(
        select(Session).where(col(Session.browser_hash) == secret_hash(secret)).with_for_update()
    )
    if opened is None or opened.is_over(now):
        raise BrowserSessionEndedError("Connectez-vous à nouveau.")
    opened.use(now)
    return opened


async def _open(session: AsyncSession, *, email: str, password: str) -> Session:
    account = await queries.account_by_email(session, email=email)
    matches = await password_matches(password, account.password_hash if account else None)
    if account is None or not matches or not account.may_sign_in:
        raise WrongCredentialsError("Vérifiez l'adresse et le mot de passe.")
    now = clock.now()
    opened = Session(account_id=account.id, opened_at=now, last_used_at=now)
    session.add(opened)
    await session.flush()
    return opened


async def failed_before(session: AsyncSession, *, address_hmac: str) -> LoginFailure | None:
    """The failures that a right password forgets; raises `TooManyAttemptsError` after ten in a row."""
    failed = await queries.login_failures(session, address_hmac=address_hmac)
    if failed is not None and failed.failures >= MAX_FAILURES:
        wait = failed.last_at + FAILURES_FORGOTTEN_AFTER - clock.now()
        if wait > timedelta(0):
            raise TooManyAttemptsError(
                "Attendez un quart d'heure, ou choisissez un nouveau mot de passe.",
                retry_after=int(wait.total_seconds()) + 1,
            )
    return failed


async def note_failure(
    session: AsyncSession, *, account_id: UUID | None, address_hmac: str
) -> None:
    """Count a wrong password; an old row of failures starts over."""
    now = clock.now()
    row = await session.get(LoginFailure, address_hmac, with_for_update=True)
    if row is None:
        await session.execute(
            insert(LoginFailure)
            .values(
                address_hmac=address_hmac,
                account_id=account_id,
                failures=1,
                last_at=now,
            )
            .on_conflict_do_update(
                index_elements=["address_hmac"],
                set_={"failures": col(LoginFailure.failures) + 1, "last_at": now},
            )
        )
        return
    fresh = now - row.last_at < FAILURES_FORGOTTEN_AFTER
    row.failures = row.failures + 1 if fresh else 1
    row.last_at = now


async def _issue_refresh(session: AsyncSession, opened: Session) -> str:
    secret = new_secret()
    session.add(
        RefreshToken(
            token_hash=secret_hash(secret),
            account_id=opened.account_id,
            session_id=opened.id,
            expires_at=clock.now() + REFRESH_LIFETIME,
        )
    )
    return secret


async def refresh(session: AsyncSession, *, token: str) -> tuple[Session, str] | None:
    """Rotate a refresh token. None when it was used before: the session is over for everybody.

    Raises `RefreshRefusedError` for an unknown or expired one.
    """
    now = clock.now()
    found = await session.scalar(
        select(RefreshToken)
        .where(col(RefreshToken.token_hash) == secret_hash(token))
        .with_for_update()
    )
    if found is None or now >= found.expires_at:
        raise RefreshRefusedError("Connectez-vous à nouveau.")
    if found.used_at is not None:
        await session.execute(delete(Session).where(col(Session.id) == found.session_id))
        return None
    found.used_at = now
    opened = await session.get(Session, found.session_id)
    if opened is None:
        raise RefreshRefusedError("Connectez-vous à nouveau.")
    opened.last_used_at = now
    return opened, await _issue_refresh(session, opened)


async def end(session: AsyncSession, *, owner: Principal, session_id: UUID) -> None:
    """End one of the caller's sessions; raises `NotFoundError` for another one's."""
    ended = await session.scalar(
        delete(Session)
        .where(col(Session.id) == session_id, col(Session.account_id) == owner.account_id)
        .returning(col(Session.id))
    )
    if ended is None:
        raise NotFoundError


async def end_all(session: AsyncSession, *, account_id: UUID) -> None:
    """End every session of an account; its refresh tokens go with them."""
    await session.execute(delete(Session).where(col(Session.account_id) == account_id))
