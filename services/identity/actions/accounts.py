"""Opening an account, its password and roles, and asking to be forgotten."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock, outbox, subjects
from chassis.auth import Role
from chassis.errors import NotFoundError
from chassis.ids import new_id
from contracts.identity import AccountLocked, AccountOpened, AccountVerified, RolesChanged
from services.identity import queries
from services.identity.actions import links, sessions
from services.identity.credentials import check_password, hash_password, password_matches
from services.identity.errors import WrongCredentialsError
from services.identity.models import (
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

_FIRST_REPEAT = timedelta(seconds=10)
_LONGEST_REPEAT = timedelta(minutes=10)


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
        await links.ask(
            session, account.id, LinkPurpose.VERIFY, VERIFY_LIFETIME, password_hash=hashed
        )
    elif account.state == AccountState.ACTIVE and not await links.told_lately(session, account.id):
        await links.ask(session, account.id, LinkPurpose.ALREADY_KNOWN, timedelta(hours=1))


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
    link, account = await links.follow(session, token=token, purpose=LinkPurpose.VERIFY)
    now = clock.now()
    account.verify(password_hash=link.password_hash or "", now=now)
    await links.forget(session, account.id)
    outbox.publish(session, AccountVerified(account_id=account.id, verified_at=now))


async def request_reset(session: AsyncSession, *, email: str) -> None:
    """Send a link for a new password, if the address has an account that may use it."""
    account = await queries.account_by_email(session, email=email)
    if account is not None and account.may_sign_in:
        await links.ask(session, account.id, LinkPurpose.RESET, RESET_LIFETIME)


async def reset_password(session: AsyncSession, *, token: str, password: str) -> None:
    """Set a new password with the token of a mail, and end every session.

    Raises `LinkExpiredError`, `WeakPasswordError`.
    """
    _, account = await links.follow(session, token=token, purpose=LinkPurpose.RESET)
    check_password(password, hints=[account.email])
    account.password_hash = await hash_password(password)
    await links.forget(session, account.id)
    await sessions.end_all(session, account_id=account.id)


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
    await sessions.end_all(session, account_id=account.id)
    await links.forget(session, account.id)
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
    await sessions.end_all(session, account_id=account.id)
    outbox.publish(session, RolesChanged(account_id=account.id, holds_role=bool(roles)))


async def repeat_roles(session: AsyncSession) -> None:
    """Tell again who holds a role: also of those whose role was granted by other means than ours."""
    holders = await session.scalars(select(col(RoleGrant.account_id)).distinct())
    for account_id in holders:
        outbox.publish(session, RolesChanged(account_id=account_id, holds_role=True))


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
