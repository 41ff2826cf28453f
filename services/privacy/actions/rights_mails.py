"""The mails about rights requests that wait to be sent, and the links in them."""

from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock
from contracts.privacy import Right
from services.privacy.actions.rights import note
from services.privacy.credentials import new_secret, readable, secret_hash
from services.privacy.models import RightsContact, RightsMail, RightsRequest
from services.privacy.models.rights import (
    LINK_LIFETIME,
    LINKS,
    ActorRole,
    MailTemplate,
    RightsState,
    RightsStep,
)

_CLAIM = timedelta(minutes=1)
_LONGEST_PAUSE_S = 3600
_WAITS_FOR_LINK = (RightsState.UNCONFIRMED, RightsState.IDENTITY_CHECK)


class MailToSend(NamedTuple):
    """A mail to send now; its token already opens the link, since a reader may be quick."""

    mail_id: UUID
    template: MailTemplate
    request_id: UUID
    kind: Right
    received_on: date
    due_on: date
    words: str | None
    token: str | None
    address: str | None
    """None: that of the account."""
    account_id: UUID | None


async def claim(session: AsyncSession, *, key: str, limit: int = 50) -> list[MailToSend]:
    """Take mails to send. One that is not settled in a minute is sent again, with another token."""
    now = clock.now()
    rows = await session.execute(
        select(RightsMail, RightsRequest, RightsContact)
        .join(RightsRequest, col(RightsRequest.request_id) == col(RightsMail.request_id))
        .outerjoin(RightsContact, col(RightsContact.request_id) == col(RightsMail.request_id))
        .where(col(RightsMail.due_at) <= now)
        .order_by(col(RightsMail.due_at))
        .limit(limit)
        .with_for_update(of=RightsMail, skip_locked=True)
    )
    claimed = []
    for mail, request, contact in rows:
        token = None
        if mail.template in LINKS:
            late = now >= mail.created_at + LINK_LIFETIME
            if late or request.state not in _WAITS_FOR_LINK:
                mail.due_at = None
                continue
            token = new_secret()
            mail.token_hash = secret_hash(token)
        mail.attempts += 1
        mail.due_at = now + _CLAIM
        context = request.request_id.bytes
        claimed.append(
            MailToSend(
                mail_id=mail.id,
                template=MailTemplate(mail.template),
                request_id=request.request_id,
                kind=Right(request.kind),
                received_on=request.received_on,
                due_on=request.due_on,
                words=readable(mail.sealed_words, key=key, context=context),
                token=token,
                address=readable(contact.sealed_address, key=key, context=context)
                if contact
                else None,
                account_id=request.subject_id if request.has_account else None,
            )
        )
    return claimed


async def settle(session: AsyncSession, *, mail_id: UUID, sent: bool | None) -> None:
    """The mail went; or it is to be tried again, less and less often; or, `None`, it never can."""
    mail = await session.get(RightsMail, mail_id, with_for_update=True)
    if mail is None:  # its person was erased meanwhile
        return
    now = clock.now()
    if sent is False:
        mail.due_at = now + timedelta(seconds=min(5 * 2**mail.attempts, _LONGEST_PAUSE_S))
        return
    mail.due_at, mail.sent_at = None, now if sent else None
    if sent is None:
        request = await session.get_one(RightsRequest, mail.request_id)
        note(session, request, RightsStep.MAIL_UNDELIVERABLE, ActorRole.PLATFORM)
