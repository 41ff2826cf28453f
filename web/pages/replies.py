"""Replying to a consultation, the receipt, taking a reply back, and reading what came."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from web import naming
from web.declared import declared
from web.forms import Form, SentForm, blank
from web.gateway import ApiError
from web.pages.consultations import is_open, may_reply_for, visible
from web.rendering import page, to
from web.sessions import CurrentPerson, Person

router = APIRouter()

CONTACT = ("name", "email", "phone")


def contact_in(form: Form) -> dict[str, str | None] | None:
    """The contact details of a form, None when there are none."""
    given = {name: form.value(f"contact.{name}") or None for name in CONTACT}
    return given if any(given.values()) else None


@router.get("/consultations/{id}/repondre")
async def reply(request: Request, person: CurrentPerson, id: UUID) -> Response:
    return await _reply_page(request, person, id, blank())


@router.post("/consultations/{id}/repondre")
async def send_reply(request: Request, person: CurrentPerson, id: UUID, form: SentForm) -> Response:
    form.require(company_id="Choisissez l'entreprise qui répond.", message="Écrivez votre réponse.")
    if not form.failed:
        body = {
            "company_id": form.value("company_id"),
            "message": form.value("message"),
            "contact": contact_in(form),
        }
        try:
            await person.api.post(f"consultations/consultations/{id}/replies", body, key=form.key)
        except ApiError as refused:
            if refused.slug == "already-replied":
                return to(f"/consultations/{id}/reponse", done="deja-repondu")
            form.refuse(refused)
        else:
            return to(f"/consultations/{id}/reponse", done="reponse")
    return await _reply_page(request, person, id, form)


async def _reply_page(request: Request, person: Person, id: UUID, form: Form) -> Response:
    found = await visible(person.api, id)
    companies = await may_reply_for(person, found) if is_open(found) else []
    if not companies:  # closed meanwhile, or never open to this person: its page says why
        return to(f"/consultations/{id}")
    if len(companies) == 1 and not form.value("company_id"):
        form.values = {**form.values, "company_id": [companies[0]["id"]]}
    return page(
        request,
        "consultations/reply.html",
        form=form,
        one=found,
        companies=companies,
        options=[(one["id"], one["name"]) for one in companies],
        about=await declared(request, "consultations", "reply"),
    )


@router.get("/consultations/{id}/reponse")
async def receipt(request: Request, person: CurrentPerson, id: UUID) -> Response:
    """The receipts of what the caller's side replied; also for who has left the community since."""
    replies = (await person.api.get(f"consultations/consultations/{id}/replies"))["items"]
    found = await _if_visible(person, id)
    if not replies or (found and found.get("mine")):
        return to(f"/consultations/{id}")
    return page(
        request,
        "consultations/receipt.html",
        one=found,
        id=id,
        replies=replies,
        open=found is not None and is_open(found),
        names=await naming.companies(person.api, (one["company_id"] for one in replies)),
    )


async def _if_visible(person: Person, id: UUID) -> dict[str, Any] | None:
    try:
        return await visible(person.api, id)
    except ApiError as refused:
        if refused.status != 404:
            raise
        return None


@router.get("/consultations/{id}/reponses/{reply_id}/retrait")
async def withdrawal(request: Request, person: CurrentPerson, id: UUID, reply_id: UUID) -> Response:
    return await _withdrawal_page(request, person, id, reply_id, blank())


@router.post("/consultations/{id}/reponses/{reply_id}/retrait")
async def withdraw(
    request: Request, person: CurrentPerson, id: UUID, reply_id: UUID, form: SentForm
) -> Response:
    try:
        await person.api.delete(f"consultations/consultations/{id}/replies/{reply_id}")
    except ApiError as refused:
        if refused.status != 409:
            raise
        if refused.slug != "already-withdrawn":
            form.refuse(refused)
            return await _withdrawal_page(request, person, id, reply_id, form)
    return to(f"/consultations/{id}/reponse", done="reponse-retiree")


async def _withdrawal_page(
    request: Request, person: Person, id: UUID, reply_id: UUID, form: Form
) -> Response:
    return page(
        request,
        "consultations/withdraw.html",
        form=form,
        one=await visible(person.api, id),
        action=f"/consultations/{id}/reponses/{reply_id}/retrait",
    )


@router.get("/consultations/{id}/reponses")
async def replies(request: Request, person: CurrentPerson, id: UUID, suite: str = "") -> Response:
    """What came, for the buyer, once it is open; sealed until then."""
    found = await visible(person.api, id)
    if not found.get("mine"):
        return to(f"/consultations/{id}")
    came = await person.api.get(f"consultations/consultations/{id}/replies", after=suite)
    return page(
        request,
        "consultations/replies.html",
        one=found,
        replies=came["items"],
        names=await naming.companies(person.api, (one["company_id"] for one in came["items"])),
        more=f"/consultations/{id}/reponses?suite={came['next']}" if came["next"] else "",
        first=f"/consultations/{id}/reponses" if suite else "",
    )
