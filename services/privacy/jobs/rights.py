"""Rights requests: their mails, and what time does."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import httpx2
import structlog

from chassis import crash, mail
from chassis.errors import UnavailableError
from chassis.mail import MailNotSentError, MailRefusedError
from chassis.service import Job, Runtime
from services.privacy.actions import cookies, rights, rights_handling, rights_mails
from services.privacy.actions.rights_mails import MailToSend
from services.privacy.messages.rights import rights_mail

log = structlog.get_logger()


async def send_rights_mails(runtime: Runtime) -> None:
    """Send the mails that wait; when identity or the mail server is away they go on waiting."""
    key = runtime.settings.secret("sealing.key")
    async with runtime.db.transaction() as session:
        claimed = await rights_mails.claim(session, key=key)
    crash.point("privacy.after_rights_claim")
    addresses = await _addresses(runtime, claimed)
    for one in claimed:
        found = one.address or addresses.get(one.account_id)
        sent = await _send(runtime, one, found) if found else False if one.account_id else None
        async with runtime.db.transaction() as session:
            await rights_mails.settle(session, mail_id=one.mail_id, sent=sent)
        crash.point("privacy.after_rights_settled")


async def _addresses(runtime: Runtime, mails: Sequence[MailToSend]) -> dict[UUID | None, str]:
    """Addresses of accounts, asked for at the moment of sending."""
    people = {one.account_id for one in mails if one.address is None and one.account_id}
    if not people:
        return {}
    try:
        answer = await runtime.http.post(
            f"{runtime.settings.identity_url}/internal/addresses",
            json={"account_ids": sorted(str(person) for person in people)},
            auth=runtime.credentials,
        )
        answer.raise_for_status()
    except (httpx2.HTTPError, UnavailableError) as error:
        log.warning("addresses_unavailable", error=type(error).__name__)
        return {}
    return {UUID(row["account_id"]): row["email"] for row in answer.json()}


async def _send(runtime: Runtime, one: MailToSend, address: str) -> bool | None:
    settings = runtime.settings
    written = rights_mail(
        one.template,
        request_id=one.request_id,
        kind=one.kind,
        received_on=one.received_on,
        due_on=one.due_on,
        words=one.words,
        token=one.token,
        public_url=settings.public_url,
        court=settings.court,
        dpo_address=settings.dpo_address,
    )
    try:
        await mail.send(
            smtp_url=settings.smtp_url,
            sender=settings.mail_from,
            to=address,
            subject=written.subject,
            text=written.text,
            headers={"Auto-Submitted": "auto-generated"},
        )
    except MailRefusedError:
        return None
    except MailNotSentError:
        return False
    crash.point("privacy.after_rights_mail")
    return True


async def sweep(runtime: Runtime) -> None:
    """Links, addresses and proofs end; erasures answer; cookie choices expire."""
    async with runtime.db.transaction() as session:
        await rights_handling.sweep(session)
        await cookies.prune(session)
    crash.point("privacy.after_rights_sweep")


JOBS = (
    Job(
        name="send_rights_mails",
        every=timedelta(seconds=2),
        run=send_rights_mails,
        bell=rights.RIGHTS_MAIL_BELL,
    ),
    Job(name="sweep_rights", every=timedelta(seconds=2), run=sweep),
)
