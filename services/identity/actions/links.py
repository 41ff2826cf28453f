"""The links that mails carry: asked for, sent, followed once, forgotten."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock
from chassis.db import wake
from services.identity.credentials import new_secret, secret_hash
from services.identity.errors import LinkExpiredError
from services.identity.models import Account, LinkPurpose, MailedLink

MAIL_BELL = "mail"
_CLAIM = timedelta(minutes=1)
_AN_HOUR = timedelta(hours=1)
_AT_ONCE = 5
"""Mails of an hour that go at once to one address."""
_THEN_EVERY = timedelta(minutes=12)
"""The others follow one by one."""


async def follow(
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


async def ask(
    session: AsyncSession,
    account_id: UUID,
    purpose: LinkPurpose,
    lifetime: timedelta,
    *,
    password_hash: str | None = None,
) -> None:
    """Have a link mailed: now, or in its turn when the address was written to often lately.

    None is withheld: the owner of an address may be the one who asked last.
    """
    now = clock.now()
    due = await _turn(session, account_id)
    session.add(
        MailedLink(
            account_id=account_id,
            purpose=purpose,
            password_hash=password_hash,
            asked_at=now,
            expires_at=due + lifetime,
            due_at=due,
        )
    )
    wake(session, MAIL_BELL)


async def _turn(session: AsyncSession, account_id: UUID) -> datetime:
    """A stranger who knows an address must not fill its mailbox: see `_AT_ONCE` and `_THEN_EVERY`."""
    now = clock.now()
    lately = func.count().filter(col(MailedLink.asked_at) > now - _AN_HOUR)
    asked, waiting = (
        await session.execute(
            select(lately, func.max(col(MailedLink.due_at))).where(
                col(MailedLink.account_id) == account_id
            )
        )
    ).one()
    if waiting is not None and waiting > now + _CLAIM:
        return waiting + _THEN_EVERY
    return now + _THEN_EVERY if asked >= _AT_ONCE else now


async def told_lately(session: AsyncSession, account_id: UUID) -> bool:
    """At most one such mail an hour: a stranger must not fill somebody's mailbox."""
    found = await session.scalar(
        select(col(MailedLink.id)).where(
            col(MailedLink.account_id) == account_id,
            col(MailedLink.purpose) == LinkPurpose.ALREADY_KNOWN,
            col(MailedLink.expires_at) > clock.now(),
        )
    )
    return found is not None


async def forget(session: AsyncSession, account_id: UUID) -> None:
    await session.execute(delete(MailedLink).where(col(MailedLink.account_id) == account_id))


class LinkToSend(NamedTuple):
    """A mail to send now; its token already opens the link, since a reader may be quick."""

    link_id: UUID
    purpose: LinkPurpose
    email: str
    token: str


async def claim(session: AsyncSession, *, limit: int = 50) -> list[LinkToSend]:
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


async def settle(session: AsyncSession, *, link_id: UUID, sent: bool) -> None:
    """The mail went, or it is to be tried again, less and less often."""
    link = await session.get(MailedLink, link_id, with_for_update=True)
    if link is not None:  # the account may be gone meanwhile
        pause = timedelta(seconds=min(5 * 2**link.attempts, 600))
        link.due_at = None if sent else clock.now() + pause
