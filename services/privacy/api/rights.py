"""Exercising one's rights: the form open to anyone, "Mon compte", and letters."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

import httpx2
from fastapi import APIRouter, Depends, Header, Path, Request, Response

from chassis import crash, idempotency
from chassis.auth import (
    OPTIONAL,
    Bearer,
    CurrentUser,
    Principal,
    Role,
    optional_user,
    require_role,
)
from chassis.errors import ForbiddenError, NotAuthenticatedError, UnavailableError
from chassis.idempotency import AttemptDep
from chassis.session import SessionDep, runtime_of
from services.privacy.actions import rights as actions
from services.privacy.actions.exports import Requested
from services.privacy.api.clients import RIGHTS_PER_HOUR, at_most
from services.privacy.credentials import readable
from services.privacy.models.rights import ActorRole, RightsState
from services.privacy.queries import rights as queries
from services.privacy.schemas.rights import (
    Accepted,
    Confirmed,
    CopyView,
    LetterRequest,
    LinkToken,
    LinkView,
    Opened,
    OwnRequest,
    PublicRequest,
    RightsSummary,
    RightsView,
)

router = APIRouter(prefix="/api/privacy", tags=["rights"])

Token = Annotated[str, Path(min_length=10, max_length=500)]
RequestKey = Annotated[
    str | None,
    Header(alias="Request-Key", max_length=200, description="The key shown at the confirmation"),
]
Writer = Annotated[Principal, Depends(require_role(Role.AGENT, Role.DPO))]


def sealing_key(request: Request) -> str:
    """What seals addresses and messages; it is not in the database."""
    key: str = runtime_of(request).settings.secret("sealing.key")
    return key


SealingKey = Annotated[str, Depends(sealing_key)]


@router.post(
    "/rights-requests",
    status_code=HTTPStatus.ACCEPTED,
    dependencies=[Depends(at_most(RIGHTS_PER_HOUR, what="rights"))],
)
async def ask(body: PublicRequest, session: SessionDep, key: SealingKey) -> Accepted:
    """Exercise a right, with or without an account (N4.1). The answer is always the same: a link goes
    to the address, three times a day at most, and only who follows it opens the request.
    """
    await actions.take_in(session, kind=body.kind, email=body.email, message=body.message, key=key)
    return Accepted()


@router.get("/rights-requests/confirmations/{token}")
async def look_at_link(token: Token, session: SessionDep) -> LinkView:
    """What the link of a mail stands for. Looking changes nothing: mail filters open links, too."""
    found, _ = await queries.request_behind(session, token=token)
    return LinkView.model_validate(found)


@router.post("/rights-requests/confirmations")
async def confirm(body: LinkToken, request: Request, key: SealingKey) -> Confirmed:
    """Confirm with the token of the mailed link, once. Whether the address has an account is looked
    up now, so the answer is 503 while identity is away; the link stays good.
    """
    db = runtime_of(request).db
    async with db.transaction() as session:
        found, contact = await queries.request_behind(session, token=body.token)
        context = found.request_id.bytes
        address = contact and readable(contact.sealed_address, key=key, context=context)
    account_id = await account_of(request, address) if address and not found.has_account else None
    async with db.transaction() as session:
        opened, secret, copy = await actions.confirm(
            session, token=body.token, account_id=account_id
        )
    crash.point("privacy.after_rights_confirmed")
    return Confirmed(
        request_id=opened.request_id,
        kind=opened.kind,
        due_on=opened.due_on,
        erasure_id=opened.erasure_id,
        key=secret,
        export=_copy(copy),
    )


@router.get("/rights-requests/{request_id}", openapi_extra=OPTIONAL)
async def follow(  # noqa: PLR0917 - FastAPI passes them by name
    request_id: UUID,
    request: Request,
    session: SessionDep,
    bearer: Bearer,
    sealing: SealingKey,
    key: RequestKey = None,
) -> RightsView:
    """A request with its timeline, for its author (by key or by account) and for the DPO."""
    viewer = await optional_user(request, session, bearer)
    if viewer is None and key is None:
        raise NotAuthenticatedError("Un jeton d'accès, ou la clé de la demande, est nécessaire.")
    if viewer is not None:
        _ = viewer.account_id  # a client is nobody, whether or not there is such a request
    found = await queries.visible_request(session, request_id=request_id, viewer=viewer, key=key)
    for_dpo = viewer is not None and viewer.has(Role.DPO)
    return await queries.request_view(session, found=found, sealing_key=sealing, for_dpo=for_dpo)


@router.post("/me/rights-requests", status_code=HTTPStatus.CREATED)
async def ask_signed_in(  # noqa: PLR0917 - FastAPI passes them by name
    body: OwnRequest,
    response: Response,
    session: SessionDep,
    user: CurrentUser,
    attempted: AttemptDep,
    key: SealingKey,
) -> Opened:
    """Exercise a right from "Mon compte". An erasure asks for the link in a mail all the same (202):
    nobody can undo it.
    """
    claim = await idempotency.claim(session, attempted, person_id=user.account_id)
    if not claim.fresh:
        found, copy = (
            await queries.own_request(
                session, request_id=claim.resource_id, kind=body.kind, viewer=user
            ),
            None,
        )
    else:
        found, copy = await actions.take_in_own(
            session,
            request_id=claim.resource_id,
            person_id=user.account_id,
            kind=body.kind,
            message=body.message,
            key=key,
        )
    if found.state == RightsState.UNCONFIRMED:
        response.status_code = HTTPStatus.ACCEPTED
    else:
        response.headers["Location"] = f"/api/privacy/rights-requests/{found.request_id}"
    return Opened(
        request_id=found.request_id, state=found.state, due_on=found.due_on, export=_copy(copy)
    )


@router.get("/me/rights-requests")
async def own_requests(session: SessionDep, user: CurrentUser) -> list[RightsSummary]:
    """The caller's requests, newest first."""
    return await queries.own_requests(session, viewer=user)


@router.post("/rights-requests/on-behalf", status_code=HTTPStatus.CREATED)
async def enter_letter(  # noqa: PLR0917 - FastAPI passes them by name
    body: LetterRequest,
    request: Request,
    session: SessionDep,
    writer: Writer,
    attempted: AttemptDep,
    key: SealingKey,
) -> RightsSummary:
    """Enter a request that came by letter (agents, DPO). Its clock runs from the day it came and
    stands still until its author follows the mailed link, or the DPO says how identity was checked.
    """
    if body.identity is not None and not writer.has(Role.DPO):
        raise ForbiddenError("Seul le délégué à la protection des données constate l'identité.")
    claim = await idempotency.claim(session, attempted, person_id=writer.account_id)
    if not claim.fresh:
        return queries.summary(
            await queries.entered_request(session, request_id=claim.resource_id, viewer=writer)
        )
    account_id = None
    if body.identity is not None and body.email is not None:
        account_id = await account_of(request, body.email)
    role = ActorRole.DPO if writer.has(Role.DPO) else ActorRole.AGENT
    return queries.summary(
        await actions.take_in_letter(
            session,
            request_id=claim.resource_id,
            account_id=account_id,
            kind=body.kind,
            received_on=body.received_on,
            contact={
                "email": body.email,
                "postal": body.postal_address,
                "message": body.message,
                "identity": body.identity,
            },
            by=(role, writer.account_id),
            key=key,
        )
    )


async def account_of(request: Request, address: str) -> UUID | None:
    """The account of an address, as identity tells it; raises `UnavailableError`."""
    runtime = runtime_of(request)
    try:
        answer = await runtime.http.post(
            f"{runtime.settings.identity_url}/internal/accounts/by-address",
            json={"email": address},
            auth=runtime.credentials,
        )
        answer.raise_for_status()
    except httpx2.HTTPError as error:
        raise UnavailableError("Réessayez dans quelques minutes.", retry_after=60) from error
    found = answer.json()["account_id"]
    return UUID(found) if found else None


def _copy(copy: Requested | None) -> CopyView | None:
    return copy and CopyView(export_id=copy.export_id, key=copy.key)
