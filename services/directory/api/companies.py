"""Company sheets, their people and the search over HTTP."""

import re
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response

from chassis import idempotency
from chassis.auth import OPTIONAL, CurrentUser, OptionalUser
from chassis.errors import MalformedError
from chassis.idempotency import AttemptDep
from chassis.pagination import MAX_LIMIT, link
from chassis.session import SessionDep
from services.directory.actions import companies as actions
from services.directory.api.callers import CurrentViewer
from services.directory.errors import VersionRequiredError
from services.directory.queries import companies as queries
from services.directory.queries.search import search
from services.directory.queries.viewers import viewer_of
from services.directory.schemas.companies import (
    AttachmentAcceptance,
    AttachmentView,
    Colleague,
    CompanyChange,
    CompanyForm,
    CompanyName,
    CompanyPage,
    CompanySearch,
    CompanySheet,
    ListedCompany,
    OwnCompany,
    Registration,
)
from services.directory.schemas.fields import Siret

router = APIRouter(prefix="/api/directory", tags=["companies"])

IfMatch = Annotated[
    str | None, Header(alias="If-Match", max_length=40, description="ETag of the version edited")
]


@router.post("/companies", status_code=HTTPStatus.CREATED)
async def register(
    body: CompanyForm,
    response: Response,
    session: SessionDep,
    user: CurrentUser,
    attempted: AttemptDep,
) -> Registration:
    """List a company; the caller administers it. If its SIRET is listed already, the caller asks to
    be attached (`pending`), and 200 says that they had asked, or were attached, before.
    """
    claim = await idempotency.claim(session, attempted, person_id=user.account_id)
    attachment, fresh = await actions.register(
        session, company_id=claim.resource_id, person_id=user.account_id, form=body
    )
    if claim.fresh and not fresh:
        response.status_code = HTTPStatus.OK
    response.headers["Location"] = f"/api/directory/companies/{attachment.company_id}"
    return Registration(
        id=attachment.company_id,
        siret=body.siret,
        attachment=AttachmentView.model_validate(attachment),
    )


@router.get("/companies")
async def find(
    wanted: Annotated[CompanySearch, Query()],
    request: Request,
    response: Response,
    session: SessionDep,
    viewer: CurrentViewer,
) -> CompanyPage:
    """Search the companies that the caller may see, with facets."""
    page = await search(session, wanted=wanted, viewer=viewer)
    link(request, response, page.next)
    return page


@router.get("/companies/by-siret/{siret}")
async def listed(siret: Siret, session: SessionDep, viewer: CurrentViewer) -> ListedCompany:
    """Whether a company bears this SIRET, and what its people need to recognise it."""
    return await queries.listed(session, siret=siret, viewer=viewer)


@router.post("/companies/by-siret/{siret}/attachments", status_code=HTTPStatus.CREATED)
async def ask(
    siret: Siret, response: Response, session: SessionDep, user: CurrentUser
) -> AttachmentView:
    """Ask to be attached to the company that bears this SIRET; its administrators answer. 200 says
    that the caller had asked, or was attached, before.
    """
    attachment, fresh = await actions.ask(session, siret=siret, person_id=user.account_id)
    if not fresh:
        response.status_code = HTTPStatus.OK
    return AttachmentView.model_validate(attachment)


@router.get("/me/companies")
async def own_companies(session: SessionDep, user: CurrentUser) -> list[OwnCompany]:
    """The companies that the caller acts for or asked to be attached to."""
    return await queries.own_companies(session, viewer=user.account_id)


@router.get("/company-names", openapi_extra=OPTIONAL)
async def names(
    session: SessionDep,
    user: OptionalUser,
    id: Annotated[list[UUID], Query(max_length=MAX_LIMIT, default_factory=list)],
) -> list[CompanyName]:
    """The names of companies whose ids the caller knows already, from a consultation for instance. Of
    a sole trader, whose name is their own, only for those who may read the sheet.
    """
    viewer = await viewer_of(session, user=user) if user else None
    return await queries.names(session, ids=id, viewer=viewer)


@router.get("/companies/{company_id}")
async def sheet(
    company_id: UUID, response: Response, session: SessionDep, viewer: CurrentViewer
) -> CompanySheet:
    """A company sheet. `ETag` is what a change must send as `If-Match`."""
    found = await queries.sheet(session, company_id=company_id, viewer=viewer)
    response.headers["ETag"] = f'"{found.version}"'
    return found


@router.patch("/companies/{company_id}")
async def edit(
    *,
    company_id: UUID,
    body: CompanyChange,
    response: Response,
    session: SessionDep,
    viewer: CurrentViewer,
    if_match: IfMatch = None,
) -> CompanySheet:
    """Change a sheet that the caller administers; refused when it changed since it was read."""
    await actions.edit(
        session,
        company_id=company_id,
        viewer=viewer,
        expected=_version(if_match),
        change=body,
    )
    return await sheet(company_id, response, session, viewer)


def _version(if_match: str | None) -> int:
    if if_match is None:
        raise VersionRequiredError("Envoyez dans If-Match l'ETag de la fiche que vous avez lue.")
    found = re.fullmatch(r'"([0-9]{1,9})"', if_match)
    if found is None:
        raise MalformedError("If-Match doit être un ETag de cette fiche, guillemets compris.")
    return int(found[1])


@router.get("/companies/{company_id}/attachments")
async def colleagues(
    company_id: UUID, session: SessionDep, viewer: CurrentViewer
) -> list[Colleague]:
    """Who acts for the company and who asks to, for its administrators."""
    return await queries.colleagues(session, company_id=company_id, viewer=viewer)


@router.post(
    "/companies/{company_id}/attachments/{person_id}/acceptance",
    status_code=HTTPStatus.NO_CONTENT,
)
async def accept(
    company_id: UUID,
    person_id: UUID,
    session: SessionDep,
    viewer: CurrentViewer,
    body: AttachmentAcceptance | None = None,
) -> None:
    """Let a person act for the company, or change their role (administrators)."""
    await actions.accept(
        session,
        company_id=company_id,
        person_id=person_id,
        viewer=viewer,
        role=(body or AttachmentAcceptance()).role,
    )


@router.delete("/companies/{company_id}/attachments/me", status_code=HTTPStatus.NO_CONTENT)
async def leave(company_id: UUID, session: SessionDep, user: CurrentUser) -> None:
    """Stop acting for a company. Its sheet passes to a colleague, or goes with the last person."""
    await actions.leave(session, company_id=company_id, person_id=user.account_id)


@router.delete("/companies/{company_id}/attachments/{person_id}", status_code=HTTPStatus.NO_CONTENT)
async def remove(
    company_id: UUID, person_id: UUID, session: SessionDep, viewer: CurrentViewer
) -> None:
    """Refuse or end somebody's attachment (administrators)."""
    await actions.remove(session, company_id=company_id, person_id=person_id, viewer=viewer)
