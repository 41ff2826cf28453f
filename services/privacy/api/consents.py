"""Agreeing, stopping to, and the proof of both."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from chassis.auth import CurrentUser, Role, require_role
from chassis.errors import NotFoundError
from chassis.pagination import DEFAULT_LIMIT, After, Limit, cut, decode, encode, link
from chassis.session import SessionDep, runtime_of
from contracts.privacy import ConsentPurpose
from services.privacy.actions import consents as actions
from services.privacy.api.notices import Version
from services.privacy.credentials import certificate_key, signed
from services.privacy.models import Notice
from services.privacy.queries import consents as queries
from services.privacy.schemas.consents import (
    ConsentView,
    NewConsent,
    NoticeToAccept,
    SignedConsent,
    ToAskPage,
)

router = APIRouter(prefix="/api/privacy", tags=["consents"])


@router.get("/me/consents")
async def consents(session: SessionDep, user: CurrentUser) -> list[ConsentView]:
    """What the caller agreed to, when and how, and when they stopped (N2.4)."""
    found = await queries.own_consents(session, viewer=user)
    return [ConsentView.model_validate(consent) for consent in found]


@router.post("/me/consents", status_code=HTTPStatus.CREATED)
async def agree(body: NewConsent, session: SessionDep, user: CurrentUser) -> list[ConsentView]:
    """Agree to the notice in force or announced, for a purpose; twice is once."""
    await actions.agree(
        session,
        person_id=user.account_id,
        purpose=body.purpose,
        notice_version=body.notice_version,
    )
    return await consents(session, user)


@router.delete("/me/consents/{purpose}", status_code=HTTPStatus.NO_CONTENT)
async def withdraw(purpose: ConsentPurpose, session: SessionDep, user: CurrentUser) -> None:
    """Stop to agree, as easily as agreeing was. The account itself rests on `platform`: that one is
    withdrawn by deleting the account (409).
    """
    await actions.withdraw_own(session, person_id=user.account_id, purpose=purpose)


@router.get("/me/consents/{consent_id}/proof")
async def proof(
    consent_id: UUID, request: Request, session: SessionDep, user: CurrentUser
) -> SignedConsent:
    """The signed proof of one consent; it verifies against the published keys of certificates."""
    found = await queries.own_consent(session, consent_id=consent_id, viewer=user)
    settings = runtime_of(request).settings
    payload = {
        "type": "fr.ccibusiness.consent.v1",
        "issuer": settings.issuer,
        "person_id": str(found.person_id),
        **ConsentView.model_validate(found).model_dump(mode="json"),
    }
    key = certificate_key(settings.secrets_dir / "certificates.pem")
    return SignedConsent(proof=payload, jws=signed("consent-proof+jws", payload, key=key))


@router.get("/me/notice-to-accept")
async def notice_to_accept(session: SessionDep, user: CurrentUser) -> NoticeToAccept:
    """Whether the caller must be asked about the notice in force (N8.2)."""
    return await queries.notice_to_accept(session, viewer=user)


@router.get("/notices/{version}/to-ask", dependencies=[Depends(require_role(Role.DPO))])
async def to_ask(
    *,
    version: Version,
    request: Request,
    response: Response,
    session: SessionDep,
    after: After = None,
    limit: Limit = DEFAULT_LIMIT,
) -> ToAskPage:
    """Who has not agreed to this version or a later one yet, by opaque id (DPO)."""
    notice = await session.get(Notice, version)
    if notice is None:
        raise NotFoundError
    cursor = decode(after, UUID)
    found = await queries.to_ask(
        session, notice=notice, after=cursor[0] if cursor else None, limit=limit + 1
    )
    page, following = cut(found, limit, lambda row: encode(row.person_id))
    link(request, response, following)
    return ToAskPage(items=list(page), next=following)
