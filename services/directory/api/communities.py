"""Communities and the people who run them over HTTP."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response

from chassis import idempotency
from chassis.auth import CurrentUser, Role, require_role
from chassis.idempotency import AttemptDep
from chassis.pagination import DEFAULT_LIMIT, After, Limit, link
from chassis.session import SessionDep
from contracts.base import Slug
from services.directory.actions import communities as actions
from services.directory.api.callers import CurrentViewer
from services.directory.queries import communities as queries
from services.directory.schemas.communities import (
    AgentForm,
    AnimatorForm,
    CommunityForm,
    CommunityPage,
    CommunityView,
    ManagedCommunity,
)
from services.directory.schemas.people import PersonName

router = APIRouter(prefix="/api/directory", tags=["communities"])

CommunityKey = Annotated[str, Path(max_length=80, description="Id or slug of the community")]
_OPERATORS = [Depends(require_role(Role.OPERATOR))]


@router.get("/communities")
async def communities(
    request: Request,
    response: Response,
    session: SessionDep,
    limit: Limit = DEFAULT_LIMIT,
    after: After = None,
) -> CommunityPage:
    """All communities, for anybody."""
    page = await queries.communities(session, limit=limit, after=after)
    link(request, response, page.next)
    return page


@router.get("/communities/{community}")
async def community(community: CommunityKey, session: SessionDep) -> CommunityView:
    """One community, for anybody."""
    return await queries.community(session, key=community)


@router.get("/me/managed-communities")
async def managed_communities(session: SessionDep, viewer: CurrentViewer) -> list[ManagedCommunity]:
    """The communities whose requests the caller answers."""
    return await queries.managed(session, viewer=viewer)


@router.post("/communities", status_code=HTTPStatus.CREATED, dependencies=_OPERATORS)
async def open_community(
    body: CommunityForm,
    response: Response,
    session: SessionDep,
    user: CurrentUser,
    attempted: AttemptDep,
) -> CommunityView:
    """Open a community (operators)."""
    claim = await idempotency.claim(session, attempted, person_id=user.account_id)
    if claim.fresh:
        await actions.open_community(session, community_id=claim.resource_id, form=body)
    response.headers["Location"] = f"/api/directory/communities/{claim.resource_id}"
    return await queries.community(session, key=str(claim.resource_id))


@router.get("/communities/{community}/animators")
async def animators(
    community: CommunityKey, session: SessionDep, viewer: CurrentViewer
) -> list[PersonName]:
    """Who runs a community, for themselves and those who appoint them."""
    return await queries.animators(session, key=community, viewer=viewer)


@router.post("/communities/{community}/animators", status_code=HTTPStatus.NO_CONTENT)
async def appoint(
    community: CommunityKey, body: AnimatorForm, session: SessionDep, viewer: CurrentViewer
) -> None:
    """Let a person run a community (operators, agents of its CCI)."""
    await actions.appoint_animator(session, key=community, person_id=body.person_id, viewer=viewer)


@router.delete("/communities/{community}/animators/{person_id}", status_code=HTTPStatus.NO_CONTENT)
async def dismiss(
    community: CommunityKey, person_id: UUID, session: SessionDep, viewer: CurrentViewer
) -> None:
    """Take a community out of a person's hands (operators, agents of its CCI)."""
    await actions.dismiss_animator(session, key=community, person_id=person_id, viewer=viewer)


@router.post("/agents", status_code=HTTPStatus.NO_CONTENT, dependencies=_OPERATORS)
async def assign_agent(body: AgentForm, session: SessionDep) -> None:
    """Let a person work for a chamber (operators)."""
    await actions.assign_agent(session, person_id=body.person_id, cci=body.cci)


@router.delete(
    "/agents/{cci}/{person_id}", status_code=HTTPStatus.NO_CONTENT, dependencies=_OPERATORS
)
async def release_agent(cci: Slug, person_id: UUID, session: SessionDep) -> None:
    """A person no longer works for that chamber (operators)."""
    await actions.release_agent(session, person_id=person_id, cci=cci)
