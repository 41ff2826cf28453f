"""What the clock starts in notifications."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

import httpx2
import structlog

from chassis import clock, crash, mail
from chassis.errors import UnavailableError
from chassis.mail import MailNotSentError, MailRefusedError
from chassis.service import Job, Runtime
from services.notifications import queries
from services.notifications.actions import notices, warnings
from services.notifications.credentials import unsubscribe_token
from services.notifications.messages import (
    Listed,
    Mail,
    day_of,
    digest_of,
    mail_of,
    unsubscribe_headers,
)
from services.notifications.models import Delivery, Kind
from services.notifications.queries import Claimed

_BATCH = 100
"""Mails whose addresses are asked for at once, and forgotten when these are sent."""
_AT_ONCE = 4
_IN_ONE_MAIL = 50
"""Consultations that go into one gathered mail, besides the first."""

log = structlog.get_logger()


async def send_mails(runtime: Runtime) -> None:
    """Send the mails that are due; when identity or the mail server is away they stay so.

    Each mail is a transaction of its own: claimed, handed to the server, marked. A process that dies
    after the server accepted and before the commit sends that one again, with the same Message-ID.
    """
    while not runtime.stop.is_set():
        async with runtime.db.transaction() as session:
            due = await queries.due_deliveries(session, limit=_BATCH)
        if not due:
            return
        try:
            addresses = await _addresses(runtime, {person_id for _, person_id in due})
        except (UnavailableError, httpx2.HTTPError) as error:
            log.warning("addresses_unavailable", error=type(error).__name__, waiting=len(due))
            return
        by_person: dict[UUID, list[UUID]] = {}
        for delivery_id, person_id in due:
            by_person.setdefault(person_id, []).append(delivery_id)
        people = list(by_person.items())
        for start in range(0, len(people), _AT_ONCE):
            settled = await asyncio.gather(
                *(
                    _send_each(runtime, deliveries, addresses.get(person_id))
                    for person_id, deliveries in people[start : start + _AT_ONCE]
                )
            )
            # When none went, the server is away: do not try all the others, too.
            if runtime.stop.is_set() or not any(settled):
                return


async def _addresses(runtime: Runtime, people: Iterable[UUID]) -> dict[UUID, str]:
    answer = await runtime.http.post(
        f"{runtime.settings.identity_url}/internal/addresses",
        json={"account_ids": [str(person) for person in people]},
        auth=runtime.credentials,
    )
    answer.raise_for_status()
    return {UUID(found["account_id"]): found["email"] for found in answer.json()}


async def _send_each(runtime: Runtime, deliveries: Sequence[UUID], address: str | None) -> bool:
    """Send the mails of one person one after the other, since one may take others along; returns
    whether any went. What is left when one does not go comes with the next round.
    """
    went = False
    for delivery_id in deliveries:
        if not await _send(runtime, delivery_id, address):
            break
        went = True
    return went


async def _send(runtime: Runtime, delivery_id: UUID, address: str | None) -> bool:
    """Send one mail, unless somebody else does; returns whether it is over with it."""
    async with runtime.db.transaction() as session:
        claimed = await queries.claim_delivery(session, delivery_id=delivery_id)
        if claimed is None:
            return False
        delivery, now = claimed.delivery, clock.now()
        gathered = [claimed]
        if delivery.kind == Kind.CONSULTATION_PUBLISHED:
            gathered += await queries.claim_others(session, first=delivery, limit=_IN_ONE_MAIL)
        taken, possible = True, address is not None
        try:
            if address is None:  # not confirmed, or closed, and the erasure is on its way here
                _each(gathered, Delivery.fail)
            else:
                await _hand_over(runtime, gathered, address, now=now)
                _each(gathered, Delivery.sent, now)
        except MailRefusedError:
            _each(gathered, Delivery.fail)
            possible = False
        except MailNotSentError:
            _each(gathered, Delivery.try_later, now)
            taken = False
        except Exception as error:  # one that cannot be written holds up no other
            log.error("mail_not_written", delivery_id=str(delivery_id), exc_info=error)
            _each(gathered, Delivery.try_later, now)
        if claimed.warning is not None:
            warnings.settle(session, claimed.warning, delivery, possible=possible, on=day_of(now))
    crash.point("notifications.after_mail_settled")
    return taken


def _each(gathered: Iterable[Claimed], outcome: Callable[..., None], *when: datetime) -> None:
    for one in gathered:
        outcome(one.delivery, *when)


async def _hand_over(
    runtime: Runtime, gathered: Sequence[Claimed], address: str, *, now: datetime
) -> None:
    claimed = gathered[0]
    delivery, settings = claimed.delivery, runtime.settings
    headers = {"Auto-Submitted": "auto-generated"}
    token = None
    if delivery.subscription_id is not None:
        token = unsubscribe_token(
            key=settings.secret("unsubscribe.key"), subscription_id=delivery.subscription_id
        )
        headers |= unsubscribe_headers(public_url=settings.public_url, token=token)
    written = (
        _gathered(gathered, public_url=settings.public_url, token=token)
        if len(gathered) > 1
        else _single(claimed, public_url=settings.public_url, token=token, now=now)
    )
    await mail.send(
        smtp_url=settings.smtp_url,
        sender=settings.mail_from,
        to=address,
        subject=written.subject,
        text=written.text,
        headers=headers,
        message_id=f"<{delivery.id}@{urlsplit(settings.public_url).hostname}>",
    )
    crash.point("notifications.after_mail")


def _gathered(gathered: Sequence[Claimed], *, public_url: str, token: str | None) -> Mail:
    listed = [Listed(one.slug, one.delivery.target_id, one.closes_at) for one in gathered]
    return digest_of(listed, public_url=public_url, token=token)


def _single(claimed: Claimed, *, public_url: str, token: str | None, now: datetime) -> Mail:
    delivery = claimed.delivery
    return mail_of(
        Kind(delivery.kind),
        slug=claimed.slug,
        target_id=delivery.target_id,
        public_url=public_url,
        closes_at=claimed.closes_at,
        in_force_from=claimed.in_force_from,
        token=token,
        kept_until=claimed.warning.ends(sent_on=day_of(now)) if claimed.warning else None,
    )


async def sweep(runtime: Runtime) -> None:
    """Forget what has had its time."""
    async with runtime.db.transaction() as session:
        await notices.sweep(session)
        await warnings.sweep(session)
    crash.point("notifications.after_sweep")


JOBS = (
    Job(name="send_mails", every=timedelta(seconds=2), run=send_mails, bell=notices.MAIL_BELL),
    Job(name="sweep", every=timedelta(hours=1), run=sweep),
)
