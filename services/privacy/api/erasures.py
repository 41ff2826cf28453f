"""Following an erasure."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from chassis.auth import OPTIONAL, Bearer, Role, current_principal, require_role
from chassis.errors import NotAuthenticatedError, NotFoundError
from chassis.pagination import DEFAULT_LIMIT, After, Limit, cut, decode, encode, link
from chassis.session import SessionDep, runtime_of
from services.privacy.models import one_month_after
from services.privacy.queries import erasures as queries
from services.privacy.queries.participants import active_participants
from services.privacy.schemas.erasures import (
    ErasurePage,
    ErasureView,
    RefusalView,
    StepView,
)

router = APIRouter(prefix="/api/privacy", tags=["erasures"])

ErasureKey = Annotated[
    str | None,
    Header(alias="Erasure-Key", max_length=2000, description="The key shown at the deletion"),
]
DPO = Depends(require_role(Role.DPO))


async def _asked_at(
    request: Request, session: SessionDep, bearer: Bearer, erasure_id: UUID, key: ErasureKey = None
) -> datetime | None:
    """Let in who holds the key of this erasure, or the DPO; anybody else sees nothing.

    Returns the instant of the request as the key tells it, for a privacy that has not heard yet.
    """
    if key is not None:
        try:
            claims = await runtime_of(request).tokens.claims(key, kind="erasure-key+jwt")
        except NotAuthenticatedError:
            raise NotFoundError from None
        if claims["sub"] != str(erasure_id):
            raise NotFoundError
        return datetime.fromtimestamp(claims["iat"], UTC)
    principal = await current_principal(request, session, bearer)
    if not principal.has(Role.DPO):
        raise NotFoundError
    return None


AskedAt = Annotated[datetime | None, Depends(_asked_at)]


@router.get("/erasures/{erasure_id}", openapi_extra=OPTIONAL)
async def erasure(session: SessionDep, erasure_id: UUID, asked_at: AskedAt) -> ErasureView:
    """Where an erasure stands, from the first moment on."""
    found = await queries.erasure(session, erasure_id=erasure_id)
    if found is not None:
        return await queries.erasure_view(session, found=found, asked_as=erasure_id)
    if asked_at is None:
        raise NotFoundError
    return ErasureView(
        erasure_id=erasure_id,
        state="open",
        requested_at=asked_at,
        due_by=one_month_after(asked_at),
        steps=[StepView(participant=name) for name in await active_participants(session)],
    )


@router.get("/erasures", dependencies=[DPO])
async def erasures(
    request: Request,
    response: Response,
    session: SessionDep,
    *,
    completed: Annotated[
        bool | None, Query(description="false : en cours, le moins de temps restant d'abord")
    ] = None,
    after: After = None,
    limit: Limit = DEFAULT_LIMIT,
) -> ErasurePage:
    """Erasures, newest first; those that are not completed by the time left (DPO)."""
    cursor = decode(after, datetime.fromisoformat, UUID)
    rows = await queries.erasures(
        session,
        completed=completed,
        after=(cursor[0], cursor[1]) if cursor else None,
        limit=limit + 1,
    )
    page, following = cut(
        rows,
        limit,
        lambda row: encode(
            (row.due_by if completed is False else row.requested_at).isoformat(), row.erasure_id
        ),
    )
    link(request, response, following)
    return ErasurePage(items=list(page), next=following)


@router.get("/refusals", dependencies=[DPO])
async def refusals(session: SessionDep, limit: Limit = DEFAULT_LIMIT) -> list[RefusalView]:
    """The newest answers that proved nothing (DPO)."""
    return [
        RefusalView.model_validate(found) for found in await queries.refusals(session, limit=limit)
    ]
