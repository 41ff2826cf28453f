"""Reads of identity; who asks is a required parameter."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis.auth import Principal, Role
from chassis.errors import NotAuthenticatedError
from services.identity.models import Account, AccountState, LoginFailure, RoleGrant, Session
from services.identity.schemas import Address


async def own_account(session: AsyncSession, *, viewer: Principal) -> Account:
    """The caller's account; raises `NotAuthenticatedError` once the session is over."""
    account = await session.scalar(
        select(Account)
        .join(Session, col(Session.account_id) == col(Account.id))
        .where(col(Account.id) == viewer.account_id, col(Session.id) == viewer.session_id)
    )
    if account is None:
        raise NotAuthenticatedError("La session est terminée.")
    return account


async def own_sessions(session: AsyncSession, *, viewer: Principal) -> Sequence[Session]:
    """The caller's open sessions, newest first."""
    found = await session.scalars(
        select(Session)
        .where(col(Session.account_id) == viewer.account_id)
        .order_by(col(Session.last_used_at).desc())
    )
    return found.all()


async def account_by_email(session: AsyncSession, *, email: str) -> Account | None:
    """For the doors that must not say whether it exists."""
    account: Account | None = await session.scalar(
        select(Account).where(col(Account.email) == email)
    )
    return account


async def roles_of(session: AsyncSession, *, account_id: UUID) -> list[Role]:
    """Platform roles, for a token that is being made."""
    found = await session.scalars(
        select(col(RoleGrant.role))
        .where(col(RoleGrant.account_id) == account_id)
        .order_by(col(RoleGrant.role))
    )
    return [Role(role) for role in found]


async def login_failures(session: AsyncSession, *, address_hmac: str) -> LoginFailure | None:
    """Failures in a row for an address."""
    return await session.get(LoginFailure, address_hmac)


async def addresses(session: AsyncSession, *, account_ids: Sequence[UUID]) -> list[Address]:
    """Confirmed addresses of these accounts, locked ones included; others are left out."""
    rows = await session.execute(
        select(col(Account.id), col(Account.email)).where(
            col(Account.id).in_(account_ids), col(Account.state) != AccountState.UNVERIFIED
        )
    )
    return [Address(account_id=account_id, email=email) for account_id, email in rows]
