"""Choosing about audience measurement, without an account."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from chassis import clock
from chassis.session import SessionDep, runtime_of
from services.privacy.actions import cookies as actions
from services.privacy.api.clients import COOKIE_CHOICES_PER_HOUR, at_most
from services.privacy.credentials import certificate_key, signed
from services.privacy.models import CookieChoice
from services.privacy.queries.cookies import cookie_choice
from services.privacy.schemas.cookies import CookieChoiceView, CookieProof, NewCookieChoice

router = APIRouter(prefix="/api/privacy", tags=["cookies"])


@router.post(
    "/cookie-choices",
    status_code=HTTPStatus.CREATED,
    dependencies=[Depends(at_most(COOKIE_CHOICES_PER_HOUR, what="cookies"))],
)
async def choose(
    body: NewCookieChoice, request: Request, response: Response, session: SessionDep
) -> CookieProof:
    """Accept or refuse audience measurement. The proof names nobody; neither address nor account is
    kept. An agreement ends after 12 months at the latest, and is asked for again after 6.
    """
    choice = await actions.choose(session, audience=body.audience)
    settings = runtime_of(request).settings
    key = certificate_key(settings.secrets_dir / "certificates.pem")
    payload = actions.proof(choice, issuer=settings.issuer)
    response.headers["Location"] = f"/api/privacy/cookie-choices/{choice.choice_id}"
    return CookieProof(**_seen(choice), jws=signed("cookie-choice+jws", payload, key=key))


@router.get("/cookie-choices/{choice_id}")
async def look(choice_id: UUID, session: SessionDep) -> CookieChoiceView:
    """What was chosen, and whether to ask again. Looking prolongs nothing."""
    return CookieChoiceView(**_seen(await cookie_choice(session, choice_id=choice_id)))


@router.delete("/cookie-choices/{choice_id}")
async def withdraw(choice_id: UUID, session: SessionDep) -> CookieChoiceView:
    """Stop to agree, as easily as agreeing was."""
    return CookieChoiceView(**_seen(await actions.withdraw(session, choice_id=choice_id)))


def _seen(choice: CookieChoice) -> dict[str, Any]:
    return {
        **choice.model_dump(exclude={"choice_id"}),
        "id": choice.choice_id,
        "audience": choice.measured,
        "ask_again": clock.now() >= choice.ask_again_at,
    }
