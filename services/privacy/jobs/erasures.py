"""Erasures: broadcast, chase, certify, tell."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import httpx2
import structlog
from cryptography.exceptions import InvalidTag
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import clock, crash, ledger, mail
from chassis.errors import UnavailableError
from chassis.ledger import LedgerConflictError
from chassis.mail import MailNotSentError
from chassis.service import Job, Runtime
from services.privacy.actions import answers, broadcasts, certificates, last_messages, restores
from services.privacy.credentials import certificate_key, seal, unseal
from services.privacy.messages.certificates import ATTACHMENT, DOCUMENT, certificate_pdf
from services.privacy.messages.erasures import erasure_completed
from services.privacy.models import Erasure, LastMessage

log = structlog.get_logger()

_WAIT_FOR_ADDRESSES = timedelta(minutes=10)
"""How long an erasure waits for an identity that does not answer. After that being forgotten matters
more than being told: the person can still follow it with the key."""


async def broadcast(runtime: Runtime) -> None:
    """Broadcast whoever waits, a batch at a time, until nobody does."""
    await _finish(runtime)
    while True:
        async with runtime.db.transaction() as session:
            batch = await broadcasts.waiting(session)
        if not batch:
            return
        try:
            sealed = await _sealed_addresses(runtime, batch)
        except (httpx2.HTTPError, UnavailableError) as error:
            patient = clock.now() - _WAIT_FOR_ADDRESSES
            batch = [erasure for erasure in batch if erasure.requested_at <= patient]
            if not batch:
                raise
            log.error("addresses_unavailable_erasing_anyway", people=len(batch), exc_info=error)
            sealed = {}
        if runtime.gate.reason is not None:  # nothing is reserved beside another past
            return
        async with runtime.db.transaction() as session:
            await broadcasts.reserve(session, batch=batch, sealed=sealed)
        crash.point("privacy.after_reserve")
        await _finish(runtime)


async def _finish(runtime: Runtime) -> None:
    """Copy and send what is reserved: the copy first, always."""
    async with runtime.db.transaction() as session:
        behind = await restores.is_behind(session, known=runtime.gate.ledger.known)
        reserved = await broadcasts.unsent(session)
    if behind:
        runtime.gate.close("the ledger copy holds what is not reserved here", suspected=True)
        return
    for entry in reserved:
        try:
            sealed = ledger.seal(entry.entry, runtime.eraser.key)
            await runtime.ledger.append(entry.position, sealed)
        except LedgerConflictError as error:  # what was broadcast counts, not what was reserved
            runtime.gate.close(str(error), suspected=True)
            return
        crash.point("privacy.after_ledger_copy")
        async with runtime.db.transaction() as session:
            if await restores.adopt(session, position=entry.position):
                await broadcasts.send(session, position=entry.position, entry_hash=entry.entry_hash)
        crash.point("privacy.after_send")


async def _sealed_addresses(runtime: Runtime, batch: Sequence[Erasure]) -> dict[UUID, bytes]:
    """Addresses for the last message, fetched while identity still has them, sealed at once.

    Raises `httpx2.HTTPError` or `UnavailableError` while identity does not answer.
    """
    by_person = {erasure.subject_id: erasure.erasure_id for erasure in batch}
    settings = runtime.settings
    answer = await runtime.http.post(
        f"{settings.identity_url}/internal/addresses",
        json={"account_ids": [str(person) for person in by_person]},
        auth=runtime.credentials,
    )
    answer.raise_for_status()
    key = settings.secret("sealing.key")
    return {
        erasure_id: seal(row["email"], key=key, context=erasure_id.bytes)
        for row in answer.json()
        for erasure_id in [by_person[UUID(row["account_id"])]]
    }


async def complete(runtime: Runtime) -> None:
    """Certify what is proven."""
    settings = runtime.settings
    more = True
    while more:
        async with runtime.db.transaction() as session:
            more = bool(
                await certificates.complete(
                    session,
                    key=certificate_key(settings.secrets_dir / "certificates.pem"),
                    issuer=settings.issuer,
                    backup_days=settings.backup_days,
                    log_days=settings.log_days,
                )
            )
        if more:
            crash.point("privacy.after_complete")


async def chase(runtime: Runtime) -> None:
    """Ask again those who have not answered."""
    async with runtime.db.transaction() as session:
        late = await broadcasts.chase(session)
    crash.point("privacy.after_chase")
    if late:
        log.warning("erasures_chased", positions=late)


async def send_last_messages(runtime: Runtime) -> None:
    """Tell people that it is done, then destroy their address.

    Each in a transaction of its own: whatever befalls one, nobody else is told late, or twice.
    """
    async with runtime.db.transaction() as session:
        await last_messages.destroy_overdue(session)
    crash.point("privacy.after_addresses_destroyed")
    more = True
    while more and not runtime.stop.is_set():
        async with runtime.db.transaction() as session:
            found = await last_messages.next_due(session)
            if more := found is not None:
                await _tell(runtime, session, *found)
        crash.point("privacy.after_last_message")


async def _tell(
    runtime: Runtime, session: AsyncSession, message: LastMessage, erasure: Erasure
) -> None:
    settings = runtime.settings
    signed = erasure.certificate or ""
    text = erasure_completed(
        erasure_id=erasure.erasure_id,
        waived=certificates.waived_in(signed),
        public_url=settings.public_url,
    )
    try:
        await mail.send(
            smtp_url=settings.smtp_url,
            sender=settings.mail_from,
            to=unseal(
                message.sealed_address,
                key=settings.secret("sealing.key"),
                context=erasure.erasure_id.bytes,
            ),
            subject=text.subject,
            text=text.text,
            attachments=await _proofs(signed),
            # Who dies before the commit sends it again: the receiver can see that it is the same.
            message_id=f"<erasure-{erasure.erasure_id}@ccibusiness.example>",
        )
    except MailNotSentError:
        last_messages.postpone(message)
    except (InvalidTag, ValueError) as error:  # no key opens it, or it is no address
        log.error("last_message_impossible", exc_info=error)
        last_messages.postpone(message)
    else:
        crash.point("privacy.after_mail")
        await last_messages.destroy(session, message)


async def _proofs(signed: str) -> dict[str, bytes]:
    """The document and the signed proof; the proof alone, rather than no mail, if it must be."""
    try:
        document = {DOCUMENT: await asyncio.to_thread(certificate_pdf, signed)}
    except Exception as error:
        log.error("certificate_not_rendered", exc_info=error)
        document = {}
    return {**document, ATTACHMENT: signed.encode()}


JOBS = (
    Job(
        name="broadcast",
        every=timedelta(seconds=1),
        run=broadcast,
        bell=broadcasts.BROADCAST_BELL,
    ),
    Job(name="complete", every=timedelta(seconds=1), run=complete, bell=answers.COMPLETION_BELL),
    Job(name="chase", every=timedelta(seconds=1), run=chase),
    Job(
        name="send_last_messages",
        every=timedelta(seconds=2),
        run=send_last_messages,
        bell=certificates.LAST_MESSAGE_BELL,
    ),
)
