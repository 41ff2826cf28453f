"""The HTTP door of consultations."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from chassis.auth import OPTIONAL, CurrentUser, OptionalUser, Principal, Role, require_role
from chassis.idempotency import AttemptDep, claim
from chassis.pagination import DEFAULT_LIMIT, After, Limit, link
from chassis.session import SessionDep
from services.consultations import queries
from services.consultations.actions import consultations, replies
from services.consultations.schemas import (
    ConsultationDetail,
    ConsultationPage,
    ConsultationSummary,
    DraftChange,
    NewConsultation,
    NewReply,
    OwnReplyPage,
    ReplyPage,
    ReplyView,
    State,
)

router = APIRouter(prefix="/api/consultations/consultations", tags=["consultations"])
own = APIRouter(prefix="/api/consultations/me", tags=["consultations"])

Buyer = Annotated[Principal, Depends(require_role(Role.BUYER))]
Consultation = ConsultationDetail | ConsultationSummary


@router.get("", openapi_extra=OPTIONAL)
async def list_consultations(
    *,
    request: Request,
    response: Response,
    session: SessionDep,
    viewer: OptionalUser,
    state: State | None = None,
    community: UUID | None = None,
    mine: Annotated[bool, Query(description="Celles de vos entreprises")] = False,
    after: After = None,
    limit: Limit = DEFAULT_LIMIT,
) -> ConsultationPage:
    """What the caller may see, newest first; visitors see the public ones (N1.4)."""
    page = await queries.consultations(
        session,
        viewer=viewer,
        state=state,
        community=community,
        mine=mine,
        after=after,
        limit=limit,
    )
    link(request, response, page.next)
    return page


@router.post("", status_code=HTTPStatus.CREATED)
async def create(
    body: NewConsultation,
    response: Response,
    session: SessionDep,
    buyer: Buyer,
    attempted: AttemptDep,
) -> Consultation:
    """Start a draft for one of the caller's companies (buyers)."""
    claimed = await claim(session, attempted, person_id=buyer.account_id)
    if claimed.fresh:
        await consultations.draft(session, id=claimed.resource_id, author=buyer, content=body)
    response.headers["Location"] = f"{router.prefix}/{claimed.resource_id}"
    return await queries.consultation(session, viewer=buyer, id=claimed.resource_id)


@router.get("/{id}", openapi_extra=OPTIONAL)
async def read(id: UUID, session: SessionDep, viewer: OptionalUser) -> Consultation:
    """One consultation: in full inside its communities and its company, in brief if it is public."""
    return await queries.consultation(session, viewer=viewer, id=id)


@router.patch("/{id}")
async def amend(id: UUID, body: DraftChange, session: SessionDep, buyer: Buyer) -> Consultation:
    """Change a draft: what is left out stays as it is."""
    await consultations.amend(session, id=id, editor=buyer, change=body)
    return await queries.consultation(session, viewer=buyer, id=id)


@router.delete("/{id}", status_code=HTTPStatus.NO_CONTENT)
async def discard(id: UUID, session: SessionDep, buyer: Buyer) -> None:
    """Throw a draft away."""
    await consultations.discard(session, id=id, editor=buyer)


@router.post("/{id}/publication")
async def publish(id: UUID, session: SessionDep, buyer: Buyer) -> Consultation:
    """Open a draft to the members of its communities; its words are final from here on."""
    await consultations.publish(session, id=id, editor=buyer)
    return await queries.consultation(session, viewer=buyer, id=id)


@router.post("/{id}/closure")
async def close(id: UUID, session: SessionDep, buyer: Buyer) -> Consultation:
    """Close before the time: no more replies, and those that came are opened to the buyer."""
    await consultations.close(session, id=id, editor=buyer)
    return await queries.consultation(session, viewer=buyer, id=id)


@router.post("/{id}/cancellation")
async def cancel(id: UUID, session: SessionDep, buyer: Buyer) -> Consultation:
    """Give up without a result; replies stay sealed for good."""
    await consultations.cancel(session, id=id, editor=buyer)
    return await queries.consultation(session, viewer=buyer, id=id)


@router.get("/{id}/replies")
async def list_replies(
    *,
    id: UUID,
    request: Request,
    response: Response,
    session: SessionDep,
    viewer: CurrentUser,
    after: After = None,
    limit: Limit = DEFAULT_LIMIT,
) -> ReplyPage:
    """The caller's own replies and their company's; all of them for the buyer, once it is closed."""
    page = await queries.replies(
        session, viewer=viewer, consultation_id=id, after=after, limit=limit
    )
    link(request, response, page.next)
    return page


@router.post("/{id}/replies", status_code=HTTPStatus.CREATED)
async def submit_reply(
    id: UUID, body: NewReply, session: SessionDep, user: CurrentUser, attempted: AttemptDep
) -> ReplyView:
    """Reply for one of the caller's companies. Nobody else reads it before the closing."""
    claimed = await claim(session, attempted, person_id=user.account_id)
    if claimed.fresh:
        await replies.submit(
            session, id=claimed.resource_id, consultation_id=id, author=user, content=body
        )
    found = await queries.reply(session, viewer=user, id=claimed.resource_id)
    return queries.reply_view(found)


@router.delete("/{id}/replies/{reply_id}", status_code=HTTPStatus.NO_CONTENT)
async def withdraw_reply(id: UUID, reply_id: UUID, session: SessionDep, user: CurrentUser) -> None:
    """Take a reply back while the consultation is open; what it said is forgotten."""
    await replies.withdraw(session, id=reply_id, consultation_id=id, person=user)


@own.get("/replies")
async def own_replies(
    *,
    request: Request,
    response: Response,
    session: SessionDep,
    viewer: CurrentUser,
    after: After = None,
    limit: Limit = DEFAULT_LIMIT,
) -> OwnReplyPage:
    """What the caller and their companies replied, to whatever consultation, newest first."""
    page = await queries.own_replies(session, viewer=viewer, after=after, limit=limit)
    link(request, response, page.next)
    return page
