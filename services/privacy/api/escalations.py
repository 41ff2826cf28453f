"""What stays open too long, and how the DPO ends it."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from chassis.auth import Principal, Role, require_role
from chassis.pagination import DEFAULT_LIMIT, After, Limit, cut, decode, encode, link
from chassis.session import SessionDep
from services.privacy.actions import waivers
from services.privacy.queries import escalations as queries
from services.privacy.schemas.escalations import EscalationPage
from services.privacy.schemas.waivers import NewWaiver, WaivedSteps, WaiverView

router = APIRouter(prefix="/api/privacy", tags=["escalations"])

DPO = Annotated[Principal, Depends(require_role(Role.DPO))]
Name = Annotated[str, Path(max_length=41)]


@router.get("/escalations", dependencies=[Depends(require_role(Role.DPO))])
async def escalations(
    request: Request,
    response: Response,
    session: SessionDep,
    *,
    still_open: Annotated[
        bool, Query(description="Only steps that nobody has proven or waived yet")
    ] = True,
    after: After = None,
    limit: Limit = DEFAULT_LIMIT,
) -> EscalationPage:
    """Steps of which the DPO was told, the least time left first (DPO)."""
    cursor = decode(after, datetime.fromisoformat, UUID, str)
    rows = await queries.escalated_steps(
        session,
        still_open=still_open,
        after=(cursor[0], cursor[1], cursor[2]) if cursor else None,
        limit=limit + 1,
    )
    page, following = cut(
        rows, limit, lambda row: encode(row.due_by.isoformat(), row.erasure_id, row.participant)
    )
    link(request, response, following)
    return EscalationPage(items=list(page), next=following)


@router.post("/erasures/{erasure_id}/steps/{participant}/waiver")
async def waive(
    body: NewWaiver, session: SessionDep, erasure_id: UUID, participant: Name, dpo: DPO
) -> WaiverView:
    """End an open step without proof, for a reason that the certificate will tell (DPO)."""
    waiver = await waivers.waive(
        session, erasure_id=erasure_id, participant=participant, wanted=body, by=dpo
    )
    return WaiverView.model_validate(waiver)


@router.post("/participants/{participant}/waiver")
async def waive_all(
    body: NewWaiver, session: SessionDep, participant: Name, dpo: DPO
) -> WaivedSteps:
    """End every open step of a participant that an operator has removed (DPO)."""
    ended = await waivers.waive_all(session, participant=participant, wanted=body, by=dpo)
    return WaivedSteps(participant=participant, waived=ended)
