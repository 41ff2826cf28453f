"""The DPO's work on rights requests."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from chassis.auth import Principal, Role, require_role
from chassis.pagination import DEFAULT_LIMIT, After, Limit, cut, decode, encode, link
from chassis.session import SessionDep
from services.privacy.actions import rights_handling as actions
from services.privacy.api.rights import SealingKey, account_of
from services.privacy.models import RightsRequest
from services.privacy.models.rights import MailTemplate
from services.privacy.queries import rights as queries
from services.privacy.schemas.rights import (
    Answer,
    Doubt,
    Extension,
    IdentityChecked,
    Refusal,
    RightsPage,
    RightsSummary,
)

router = APIRouter(prefix="/api/privacy/rights-requests", tags=["rights"])

Dpo = Annotated[Principal, Depends(require_role(Role.DPO))]
Which = Annotated[
    Literal["waiting", "closed"],
    Query(
        description="waiting : le moins de temps restant d'abord ; closed : les dernières d'abord"
    ),
]


@router.get("", dependencies=[Depends(require_role(Role.DPO))])
async def work_list(
    *,
    request: Request,
    response: Response,
    session: SessionDep,
    state: Which = "waiting",
    after: After = None,
    limit: Limit = DEFAULT_LIMIT,
) -> RightsPage:
    """The requests to answer, those with the least time left first; or those that are closed (DPO)."""
    found: Sequence[RightsRequest]
    if state == "waiting":
        # Time left is counted from the day of the first page, so that midnight shifts no page.
        cursor = decode(after, date.fromisoformat, int, UUID)
        day = cursor[0] if cursor else queries.today()
        found = await queries.waiting_requests(
            session, day=day, after=(cursor[1], cursor[2]) if cursor else None, limit=limit + 1
        )
        page, following = cut(
            found, limit, lambda row: encode(day, row.days_left(today=day), row.request_id)
        )
    else:
        last = decode(after, datetime.fromisoformat, UUID)
        found = await queries.closed_requests(
            session, after=(last[0], last[1]) if last else None, limit=limit + 1
        )
        page, following = cut(found, limit, lambda row: encode(row.closed_at, row.request_id))
    link(request, response, following)
    return RightsPage(items=[queries.summary(row) for row in page], next=following)


@router.post("/{request_id}/doubt")
async def doubt(
    request_id: UUID, body: Doubt, session: SessionDep, dpo: Dpo, key: SealingKey
) -> RightsSummary:
    """Doubt who asks: the clock stops, and the person reads what would prove it (DPO)."""
    return queries.summary(
        await actions.doubt(
            session, request_id=request_id, dpo=dpo.account_id, reason=body.reason, key=key
        )
    )


@router.post("/{request_id}/identity")
async def check_identity(  # noqa: PLR0917 - FastAPI passes them by name
    request_id: UUID,
    body: IdentityChecked,
    request: Request,
    session: SessionDep,
    dpo: Dpo,
    key: SealingKey,
) -> RightsSummary:
    """Say how identity was established: the clock goes on, a letter's request opens (DPO)."""
    address = await queries.address_of(session, request_id=request_id, viewer=dpo, sealing_key=key)
    return queries.summary(
        await actions.check_identity(
            session,
            request_id=request_id,
            dpo=dpo.account_id,
            how=body.how,
            account_id=await account_of(request, address) if address else None,
            key=key,
        )
    )


@router.post("/{request_id}/extension")
async def extend(
    request_id: UUID, body: Extension, session: SessionDep, dpo: Dpo, key: SealingKey
) -> RightsSummary:
    """Take two months more, once, inside the first month; the person is told why (DPO)."""
    return queries.summary(
        await actions.extend(
            session, request_id=request_id, dpo=dpo.account_id, reasons=body.reasons, key=key
        )
    )


@router.post("/{request_id}/answer")
async def answer(
    request_id: UUID, body: Answer, session: SessionDep, dpo: Dpo, key: SealingKey
) -> RightsSummary:
    """Answer with a template and, if need be, words of one's own (DPO)."""
    return queries.summary(
        await actions.answer(
            session,
            request_id=request_id,
            dpo=dpo.account_id,
            template=MailTemplate(body.template),
            words=body.words,
            key=key,
        )
    )


@router.post("/{request_id}/refusal")
async def refuse(
    request_id: UUID, body: Refusal, session: SessionDep, dpo: Dpo, key: SealingKey
) -> RightsSummary:
    """Refuse with reasons; the mail adds the remedies (DPO)."""
    return queries.summary(
        await actions.refuse(
            session, request_id=request_id, dpo=dpo.account_id, reasons=body.reasons, key=key
        )
    )
