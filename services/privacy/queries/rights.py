"""Rights requests: who sees which, and what of it."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Date, Integer, cast, func, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock
from chassis.auth import Principal, Role
from chassis.errors import NotFoundError
from contracts.privacy import Right
from services.privacy.credentials import readable, secret_hash
from services.privacy.errors import LinkExpiredError
from services.privacy.models import RightsContact, RightsEvent, RightsMail, RightsRequest
from services.privacy.models.deadlines import day_of
from services.privacy.models.rights import CLOSED, LINKS, WAITING, RightsState, RightsStep
from services.privacy.schemas.rights import (
    ContactView,
    LetterView,
    RightsSummary,
    RightsView,
    TimelineEntry,
)


def today() -> date:
    """The present day in Paris."""
    return day_of(clock.now())


def summary(request: RightsRequest) -> RightsSummary:
    """A line of a list."""
    return RightsSummary.model_validate(
        {**request.model_dump(), "days_left": request.days_left(today=today())}
    )


async def visible_request(
    session: AsyncSession,
    *,
    request_id: UUID,
    viewer: Principal | None,
    key: str | None,
) -> RightsRequest:
    """A request for its author, by account or by key, or for the DPO; else `NotFoundError`."""
    found = await session.get(RightsRequest, request_id)
    if found is None or found.state == RightsState.UNCONFIRMED:
        raise NotFoundError
    if key is not None and found.key_hash == secret_hash(key):
        return found
    if viewer is not None and (
        viewer.has(Role.DPO) or (found.has_account and found.subject_id == viewer.account_id)
    ):
        return found
    raise NotFoundError


async def request_view(
    session: AsyncSession, *, found: RightsRequest, sealing_key: str, for_dpo: bool
) -> RightsView:
    """A request with its timeline, its mails, and what its author wrote while that is kept."""

    def text(sealed: bytes | None) -> str | None:
        return readable(sealed, key=sealing_key, context=found.request_id.bytes)

    events = await session.scalars(
        select(RightsEvent)
        .where(col(RightsEvent.request_id) == found.request_id)
        .order_by(col(RightsEvent.id))
    )
    mails = await session.scalars(
        select(RightsMail)
        .where(
            col(RightsMail.request_id) == found.request_id, col(RightsMail.template).not_in(LINKS)
        )
        .order_by(col(RightsMail.id))
    )
    contact = await session.get(RightsContact, found.request_id)
    return RightsView(
        **summary(found).model_dump(),
        message=text(contact.sealed_message) if contact else None,
        timeline=[
            TimelineEntry(
                step=event.step,
                at=event.at,
                actor_role=event.actor_role,
                actor_id=event.actor_id if for_dpo else None,
            )
            for event in events
        ],
        letters=[
            LetterView(
                template=mail.template,
                created_at=mail.created_at,
                sent_at=mail.sent_at,
                words=text(mail.sealed_words),
            )
            for mail in mails
        ],
        contact=ContactView(
            email=text(contact.sealed_address),
            postal_address=text(contact.sealed_postal_address),
            identity=text(contact.sealed_identity),
        )
        if contact and for_dpo
        else None,
    )


async def own_requests(session: AsyncSession, *, viewer: Principal) -> list[RightsSummary]:
    """The caller's requests, newest first."""
    found = await session.scalars(
        select(RightsRequest)
        .where(
            col(RightsRequest.subject_id) == viewer.account_id,
            col(RightsRequest.state) != RightsState.UNCONFIRMED,
        )
        .order_by(col(RightsRequest.request_id).desc())
        .limit(200)
    )
    return [summary(request) for request in found]


async def own_request(
    session: AsyncSession, *, request_id: UUID, kind: Right, viewer: Principal
) -> RightsRequest:
    """What the caller's repeated request led to: that one, or the one of its kind that was there."""
    found = await session.scalar(
        select(RightsRequest)
        .where(
            col(RightsRequest.subject_id) == viewer.account_id,
            or_(col(RightsRequest.request_id) == request_id, col(RightsRequest.kind) == kind),
        )
        .order_by(
            (col(RightsRequest.request_id) == request_id).desc(),
            col(RightsRequest.request_id).desc(),
        )
        .limit(1)
    )
    if found is None:
        raise NotFoundError
    return found


async def entered_request(
    session: AsyncSession, *, request_id: UUID, viewer: Principal
) -> RightsRequest:
    """A request that the caller entered from a letter; raises `NotFoundError`."""
    found = await session.scalar(
        select(RightsRequest)
        .join(RightsEvent, col(RightsEvent.request_id) == col(RightsRequest.request_id))
        .where(
            col(RightsRequest.request_id) == request_id,
            col(RightsEvent.step) == RightsStep.RECEIVED,
            col(RightsEvent.actor_id) == viewer.account_id,
        )
    )
    if found is None:
        raise NotFoundError
    return found


async def address_of(
    session: AsyncSession, *, request_id: UUID, viewer: Principal, sealing_key: str
) -> str | None:
    """The address of a request that has no account yet, for the DPO; else `NotFoundError`."""
    found = await visible_request(session, request_id=request_id, viewer=viewer, key=None)
    contact = await session.get(RightsContact, request_id)
    if contact is None or found.has_account or found.state != RightsState.IDENTITY_CHECK:
        return None
    return readable(contact.sealed_address, key=sealing_key, context=request_id.bytes)


async def waiting_requests(
    session: AsyncSession, *, day: date, after: tuple[int, UUID] | None, limit: int
) -> Sequence[RightsRequest]:
    """The DPO's work list on that day: least time left first. The door has checked the role."""
    on = func.coalesce(col(RightsRequest.paused_on), literal(day, Date))
    left: Any = cast(col(RightsRequest.due_on) - on, Integer)
    key = tuple_(left, col(RightsRequest.request_id))
    wanted = (
        select(RightsRequest)
        .where(col(RightsRequest.state).in_(WAITING))
        .order_by(left, col(RightsRequest.request_id))
        .limit(limit)
    )
    if after is not None:
        wanted = wanted.where(key > tuple_(literal(after[0]), literal(after[1])))
    return (await session.scalars(wanted)).all()


async def closed_requests(
    session: AsyncSession, *, after: tuple[Any, UUID] | None, limit: int
) -> Sequence[RightsRequest]:
    """What was answered or refused, the latest first. The door has checked the role."""
    key = tuple_(col(RightsRequest.closed_at), col(RightsRequest.request_id))
    wanted = (
        select(RightsRequest)
        .where(col(RightsRequest.state).in_(CLOSED))
        .order_by(col(RightsRequest.closed_at).desc(), col(RightsRequest.request_id).desc())
        .limit(limit)
    )
    if after is not None:
        wanted = wanted.where(key < tuple_(literal(after[0]), literal(after[1])))
    return (await session.scalars(wanted)).all()


async def request_behind(
    session: AsyncSession, *, token: str
) -> tuple[RightsRequest, RightsContact | None]:
    """The request that a mailed link confirms; raises `LinkExpiredError`."""
    row = (
        await session.execute(
            select(RightsMail, RightsRequest, RightsContact)
            .join(RightsRequest, col(RightsRequest.request_id) == col(RightsMail.request_id))
            .outerjoin(
                RightsContact, col(RightsContact.request_id) == col(RightsRequest.request_id)
            )
            .where(col(RightsMail.token_hash) == secret_hash(token))
        )
    ).one_or_none()
    if row is None:
        raise LinkExpiredError("Faites une nouvelle demande.")
    mail, request, contact = row
    mail.check_link(now=clock.now())
    return request, contact
