"""What people do with their account: one function per intent."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock, outbox, subjects
from chassis.auth import Principal, Role
from chassis.db import wake
from chassis.errors import NotFoundError
from chassis.ids import new_id
from contracts.identity import AccountLocked, AccountOpened, AccountVerified
from services.identity import queries
from services.identity.credentials import (
    check_password,
    hash_password,
    new_secret,
    password_matches,
    secret_hash,
)
from services.identity.errors import (
    LinkExpiredError,
    RefreshRefusedError,
    TooManyAttemptsError,
    WrongCredentialsError,
)
from services.identity.models import (
    FAILURES_FORGOTTEN_AFTER,
    MAX_FAILURES,
    REFRESH_LIFETIME,
    RESET_LIFETIME,
    VERIFY_LIFETIME,
    Account,
    AccountState,
    ErasureRequest,
    LinkPurpose,
    LoginFailure,
    MailedLink,
    RefreshToken,
    RoleGrant,
    Session,
)

MAIL_BELL = "mail"
_FIRST_REPEAT = timedelta(seconds=10)
_LONGEST_REPEAT = timedelta(minutes=10)
_CLAIM = timedelta(minutes=1)


async def sign_up(session: AsyncSession, *, email: str, password: str, notice_version: str) -> None:
    """Open an account that a mailed link confirms; says nothing about known addresses.

    The password belongs to this sign-up's link: whoever else signed up with the same address before
    does not get in when its owner confirms. Raises `WeakPasswordError`.
    """
    check_password(password, hints=[email])
    hashed = await hash_password(password)
    account = await queries.account_by_email(session, email=email)
    if account is None:
        account = await _open(session, email=email, notice_version=notice_version)
    if account.state == AccountState.UNVERIFIED:
        _mail(session, account.id, LinkPurpose.VERIFY, VERIFY_LIFETIME, password_hash=hashed)
    elif account.state == AccountState.ACTIVE and not await _told_lately(session, account.id):
        _mail(session, account.id, LinkPurpose.ALREADY_KNOWN, timedelta(hours=1))


async def _open(session: AsyncSession, *, email: str, notice_version: str) -> Account:
    account_id, now = new_id(), clock.now()
    await subjects.ensure(session, account_id)
    # Two sign-ups with one address at once: the second finds the account of the first.
    opened = await session.scalar(
        insert(Account)
        .values(
            id=account_id,
            email=email,
            state=AccountState.UNVERIFIED,
            notice_version=notice_version,
            opened_at=now,
        )
        .on_conflict_do_nothing(index_elements=["email"])
        .returning(col(Account.id))
    )
    account = await queries.account_by_email(session, email=email)
    if account is None:
        raise NotFoundError
    if opened is not None:
        outbox.publish(
            session,
            AccountOpened(account_id=account_id, notice_version=notice_version, opened_at=now),
        )
    return account


async def verify(session: AsyncSession, *, token: str) -> None:
    """Confirm an address with the token of its mail; raises `LinkExpiredError`."""
    link, account = await _follow(session, token=token, purpose=LinkPurpose.VERIFY)
    now = clock.now()
    account.verify(password_hash=link.password_hash or "", now=now)
    await _forget_links(session, account.id)
    outbox.publish(session, AccountVerified(account_id=account.id, verified_at=now))


async def request_reset(session: AsyncSession, *, email: str) -> None:
    """Send a link for a new password, if the address has an account that may use it."""
    account = await queries.account_by_email(session, email=email)
    if account is not None and account.may_sign_in:
        _mail(session, account.id, LinkPurpose.RESET, RESET_LIFETIME)


async def reset_password(session: AsyncSession, *, token: str, password: str) -> None:
    """Set a new password with the token of a mail, and end every session.

    Raises `LinkExpiredError`, `WeakPasswordError`.
    """
    _, account = await _follow(session, token=token, purpose=LinkPurpose.RESET)
    check_password(password, hints=[account.email])
    account.password_hash = await hash_password(password)
    await _forget_links(session, account.id)
    await end_all_sessions(session, account_id=account.id)


async def change_password(
    session: AsyncSession, *, account: Account, current: str, new: str, keep_session: UUID | None
) -> None:
    """Set a new password, knowing the present one; ends every other session."""
    if not await password_matches(current, account.password_hash):
        raise WrongCredentialsError("Le mot de passe actuel n'est pas le bon.")
    check_password(new, hints=[account.email])
    account.password_hash = await hash_password(new)
    await session.execute(
        delete(Session).where(
            col(Session.account_id) == account.id, col(Session.id) != keep_session
        )
    )


async def _follow(
    session: AsyncSession, *, token: str, purpose: LinkPurpose
) -> tuple[MailedLink, Account]:
    """The link of a token and its account, locked for the change; a link serves once."""
    link = await session.scalar(
        select(MailedLink)
        .where(col(MailedLink.token_hash) == secret_hash(token), col(MailedLink.purpose) == purpose)
        .with_for_update()
    )
    if link is None:
        raise LinkExpiredError("Demandez un nouveau lien.")
    link.check(clock.now())
    account = await session.get(Account, link.account_id, with_for_update=True)
    if account is None:
        raise LinkExpiredError("Demandez un nouveau lien.")
    return link, account


def _mail(
    session: AsyncSession,
    account_id: UUID,
    purpose: LinkPurpose,
    lifetime: timedelta,
    *,
    password_hash: str | None = None,
) -> None:
    now = clock.now()
    session.add(
        MailedLink(
            account_id=account_id,
            purpose=purpose,
            password_hash=password_hash,
            asked_at=now,
            expires_at=now + lifetime,
            due_at=now,
        )
    )
    wake(session, MAIL_BELL)


async def _told_lately(session: AsyncSession, account_id: UUID) -> bool:
    """At most one such mail an hour: a stranger must not fill somebody's mailbox."""
    found = await session.scalar(
        select(col(MailedLink.id)).where(
            col(MailedLink.account_id) == account_id,
            col(MailedLink.purpose) == LinkPurpose.ALREADY_KNOWN,
            col(MailedLink.expires_at) > clock.now(),
        )
    )
    return found is not None


async def _forget_links(session: AsyncSession, account_id: UUID) -> None:
    await session.execute(delete(MailedLink).where(col(MailedLink.account_id) == account_id))


async def sign_in(
    session: AsyncSession, *, email: str, address_hmac: str, password: str
) -> tuple[Session, str]:
    """Open a session; returns it with its first refresh token (N6.1).

    Raises `WrongCredentialsError` alike for every failure, `TooManyAttemptsError` after ten in a row.
    The caller counts a failure with `note_failure`, in a transaction that this error does not undo.
    """
    now = clock.now()
    failed = await queries.login_failures(session, address_hmac=address_hmac)
    if failed is not None and failed.failures >= MAX_FAILURES:
        wait = failed.last_at + FAILURES_FORGOTTEN_AFTER - now
        if wait > timedelta(0):
            raise TooManyAttemptsError(
                "Attendez un quart d'heure, ou choisissez un nouveau mot de passe.",
                retry_after=int(wait.total_seconds()) + 1,
            )
    account = await queries.account_by_email(session, email=email)
    matches = await password_matches(password, account.password_hash if account else None)
    if account is None or not matches or not account.may_sign_in:
        raise WrongCredentialsError("Vérifiez l'adresse et le mot de passe.")
    if failed is not None:
        await session.delete(failed)
    opened = Session(account_id=account.id, opened_at=now, last_used_at=now)
    session.add(opened)
    await session.flush()
    return opened, await _issue_refresh(session, opened)


async def note_failure(session: AsyncSession, *, email: str, address_hmac: str) -> None:
    """Count a failed sign-in; an old row of failures starts over."""
    now = clock.now()
    account = await queries.account_by_email(session, email=email)
    row = await session.get(LoginFailure, address_hmac, with_for_update=True)
    if row is None:
        await session.execute(
            insert(LoginFailure)
            .values(
                address_hmac=address_hmac,
                account_id=account.id if account else None,
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


async def end_session(session: AsyncSession, *, owner: Principal, session_id: UUID) -> None:
    """End one of the caller's sessions; raises `NotFoundError` for another one's."""
    ended = await session.scalar(
        delete(Session)
        .where(col(Session.id) == session_id, col(Session.account_id) == owner.account_id)
        .returning(col(Session.id))
    )
    if ended is None:
        raise NotFoundError


async def end_all_sessions(session: AsyncSession, *, account_id: UUID) -> None:
    """End every session of an account; its refresh tokens go with them."""
    await session.execute(delete(Session).where(col(Session.account_id) == account_id))


async def request_deletion(session: AsyncSession, *, account: Account, password: str) -> UUID:
    """Lock the account, end its sessions and tell privacy, all at once; returns the erasure's id.

    From this commit on the account is useless, whatever happens to the rest (N3.2). Raises
    `WrongCredentialsError` unless the password is the right one.
    """
    if not await password_matches(password, account.password_hash):
        raise WrongCredentialsError("Le mot de passe n'est pas le bon.")
    await session.refresh(account, with_for_update=True)
    account.lock()
    now = clock.now()
    request = ErasureRequest(
        erasure_id=new_id(),
        account_id=account.id,
        requested_at=now,
        repeat_at=now + _FIRST_REPEAT,
    )
    session.add(request)
    await end_all_sessions(session, account_id=account.id)
    await _forget_links(session, account.id)
    _tell(session, request)
    return request.erasure_id


def _tell(session: AsyncSession, request: ErasureRequest) -> None:
    outbox.publish(
        session,
        AccountLocked(
            account_id=request.account_id,
            erasure_id=request.erasure_id,
            requested_at=request.requested_at,
        ),
    )


async def repeat_deletions(session: AsyncSession) -> None:
    """Tell privacy again about erasures that have not arrived, less and less often."""
    now = clock.now()
    due = await session.scalars(
        select(ErasureRequest)
        .where(col(ErasureRequest.repeat_at) <= now)
        .limit(500)
        .with_for_update(skip_locked=True)
    )
    for request in due:
        request.repeats += 1
        request.repeat_at = now + min(_FIRST_REPEAT * 2**request.repeats, _LONGEST_REPEAT)
        _tell(session, request)


async def assign_roles(session: AsyncSession, *, email: str, roles: Sequence[Role]) -> None:
    """Set the platform roles of an account; its open sessions end, so that tokens follow."""
    account = await queries.account_by_email(session, email=email)
    if account is None:
        raise NotFoundError
    await session.execute(delete(RoleGrant).where(col(RoleGrant.account_id) == account.id))
    session.add_all(RoleGrant(account_id=account.id, role=role) for role in sorted(set(roles)))
    await end_all_sessions(session, account_id=account.id)


async def sweep(session: AsyncSession) -> None:
    """Forget what has had its time: failures after an hour, links and refresh tokens at their end."""
    now = clock.now()
    await session.execute(
        delete(LoginFailure).where(col(LoginFailure.last_at) < now - timedelta(hours=1))
    )
    await session.execute(delete(MailedLink).where(col(MailedLink.expires_at) < now))
    await session.execute(delete(RefreshToken).where(col(RefreshToken.expires_at) < now))
    idle = now - REFRESH_LIFETIME
    await session.execute(delete(Session).where(col(Session.last_used_at) < idle))


class LinkToSend(NamedTuple):
    """A mail to send now; its token already opens the link, since a reader may be quick."""

    link_id: UUID
    purpose: LinkPurpose
    email: str
    token: str


async def claim_links(session: AsyncSession, *, limit: int = 50) -> list[LinkToSend]:
    """Take mails to send. One that is not settled in a minute is sent again, with another token."""
    now = clock.now()
    rows = await session.execute(
        select(MailedLink, col(Account.email))
        .join(Account, col(Account.id) == col(MailedLink.account_id))
        .where(col(MailedLink.due_at) <= now)
        .order_by(col(MailedLink.due_at))
        .limit(limit)
        .with_for_update(of=MailedLink, skip_locked=True)
    )
    claimed = []
    for link, email in rows:
        token = new_secret()
        link.token_hash = secret_hash(token)
        link.attempts += 1
        link.due_at = now + _CLAIM
        claimed.append(LinkToSend(link.id, LinkPurpose(link.purpose), email, token))
    return claimed


async def settle_link(session: AsyncSession, *, link_id: UUID, sent: bool) -> None:
    """The mail went, or it is to be tried again, less and less often."""
    link = await session.get(MailedLink, link_id, with_for_update=True)
    if link is not None:  # the account may be gone meanwhile
        pause = timedelta(seconds=min(5 * 2**link.attempts, 600))
        link.due_at = None if sent else clock.now() + pause
