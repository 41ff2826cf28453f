"""Joining, answering and leaving over HTTP."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Request, Response

from chassis import idempotency
from chassis.auth import CurrentUser
from chassis.idempotency import AttemptDep
from chassis.pagination import DEFAULT_LIMIT, After, Limit, link
from chassis.session import SessionDep
from services.directory.actions import communities as actions
from services.directory.api.callers import CurrentViewer
from services.directory.api.communities import CommunityKey
from services.directory.models import MembershipState
from services.directory.queries import communities as queries
from services.directory.schemas.communities import (
    Decision,
    Joined,
    MembershipForm,
    MembershipPage,
    OwnMembership,
    QueuedMembership,
)

router = APIRouter(prefix="/api/directory", tags=["memberships"])


@router.post("/communities/{community}/memberships", status_code=HTTPStatus.CREATED)
async def join(
    *,
    community: CommunityKey,
    body: MembershipForm,
    response: Response,
    session: SessionDep,
    user: CurrentUser,
    attempted: AttemptDep,
) -> Joined:
    """Join a community for one of the caller's companies: `active` where joining is open, else
    `pending`; 200 when the caller had joined, or asked to, before.
    """
    claim = await idempotency.claim(session, attempted, person_id=user.account_id)
    membership, fresh = await actions.join(
        session,
        membership_id=claim.resource_id,
        key=community,
        person_id=user.account_id,
        company_id=body.company_id,
        answers=body.answers,
    )
    if claim.fresh and not fresh:
        response.status_code = HTTPStatus.OK
    return Joined.model_validate(membership)


@router.get("/me/memberships")
async def own_memberships(session: SessionDep, user: CurrentUser) -> list[OwnMembership]:
    """The caller's memberships and requests, newest first, with the reasons of refusals."""
    return await queries.own_memberships(session, viewer=user.account_id)


@router.delete("/me/memberships/{membership_id}", status_code=HTTPStatus.NO_CONTENT)
async def leave(membership_id: UUID, session: SessionDep, user: CurrentUser) -> None:
    """Leave a community, or withdraw the request to join it."""
    await actions.leave(session, membership_id=membership_id, person_id=user.account_id)


@router.get("/communities/{community}/memberships")
async def queue(
    *,
    community: CommunityKey,
    request: Request,
    response: Response,
    session: SessionDep,
    viewer: CurrentViewer,
    state: MembershipState = MembershipState.PENDING,
    limit: Limit = DEFAULT_LIMIT,
    after: After = None,
) -> MembershipPage:
    """The memberships of a community that the caller runs, oldest first (animators, agents)."""
    page = await queries.queue(
        session, key=community, viewer=viewer, state=state, limit=limit, after=after
    )
    link(request, response, page.next)
    return page


@router.get("/memberships/{membership_id}")
async def membership(
    membership_id: UUID, session: SessionDep, viewer: CurrentViewer
) -> QueuedMembership:
    """One membership or request, and what was answered to it (animators, agents)."""
    return await queries.membership(session, membership_id=membership_id, viewer=viewer)


@router.post("/memberships/{membership_id}/decision")
async def decide(
    membership_id: UUID, body: Decision, session: SessionDep, viewer: CurrentViewer
) -> Joined:
    """Grant or refuse a request to join; a refusal says why (animators, agents)."""
    membership = await actions.decide(
        session,
        membership_id=membership_id,
        viewer=viewer,
        grant=body.grant,
        reason=body.reason,
    )
    return Joined.model_validate(membership)
