"""Mon compte: everything that is the person's own, a page each."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from web.forms import SentForm, blank
from web.gateway import ApiError
from web.rendering import page, to
from web.sessions import CurrentPerson, Person

router = APIRouter()


@router.get("/mon-compte")
async def account(request: Request, person: CurrentPerson) -> Response:
    me, kept = await asyncio.gather(
        person.api.get("identity/me"), _or_none(person, "privacy/me/retention")
    )
    return page(request, "account/overview.html", me=me, kept=kept)


async def _or_none(person: Person, path: str) -> Any:
    """What is nice to have; the page stands without it while its service is away."""
    try:
        return await person.api.get(path)
    except ApiError as refused:
        if refused.status < 500:
            raise
        return None


@router.get("/mon-compte/connexion")
async def sign_in_page(request: Request, person: CurrentPerson) -> Response:
    """The open sessions, and the password."""
    opened = await person.api.get("identity/me/sessions")
    return page(request, "account/sign_in.html", sessions=opened, form=blank())


@router.post("/mon-compte/connexion")
async def change_password(request: Request, person: CurrentPerson, form: SentForm) -> Response:
    current, new = form.secret("password_current"), form.secret("password_new")
    if not current:
        form.fail("password_current", "Indiquez votre mot de passe actuel.")
    if not new:
        form.fail("password_new", "Choisissez un nouveau mot de passe.")
    if not form.failed:
        try:
            await person.api.put("identity/me/password", {"current": current, "new": new})
        except ApiError as refused:
            if refused.slug == "wrong-credentials":
                form.fail("password_current", "Ce n'est pas votre mot de passe actuel.")
            elif refused.slug == "weak-password":
                form.refuse(refused, at="password_new")
            else:
                raise
        else:
            return to("/mon-compte/connexion", done="mot-de-passe-change")
    opened = await person.api.get("identity/me/sessions")
    return page(request, "account/sign_in.html", sessions=opened, form=form)


@router.post("/mon-compte/sessions")
async def end_sessions(person: CurrentPerson, form: SentForm) -> Response:
    """The one that is named, or all but this one; one that is over already is as good as ended."""
    opened = await person.api.get("identity/me/sessions")
    wanted = form.value("session")
    for one in opened:
        if not one["current"] and wanted in {one["id"], "toutes"}:
            try:
                await person.api.delete(f"identity/me/sessions/{one['id']}")
            except ApiError as refused:
                if refused.status != 404:
                    raise
    return to("/mon-compte/connexion", done="sessions")


@router.get("/mon-compte/communautes")
async def communities(request: Request, person: CurrentPerson) -> Response:
    return page(request, "account/communities.html", memberships=await _memberships(person))


async def _memberships(person: Person) -> list[dict[str, Any]]:
    """Without those that are over: there is nothing left to leave."""
    found = await person.api.get("directory/me/memberships")
    return [one for one in found if one["state"] != "ended"]


@router.get("/mon-compte/communautes/{membership_id}/quitter")
async def leaving_community(
    request: Request, person: CurrentPerson, membership_id: str
) -> Response:
    found = _named(await _memberships(person), membership_id)
    if found is None:
        return to("/mon-compte/communautes")
    return page(request, "account/leave_community.html", membership=found, form=blank())


@router.post("/mon-compte/communautes/{membership_id}/quitter")
async def leave_community(person: CurrentPerson, membership_id: str) -> Response:
    """Twice is once: a membership that is over is not there any more."""
    await _gone(person, f"directory/me/memberships/{membership_id}")
    return to("/mon-compte/communautes", done="communaute-quittee")


@router.get("/mon-compte/entreprises")
async def companies(request: Request, person: CurrentPerson) -> Response:
    found = await person.api.get("directory/me/companies")
    return page(request, "account/companies.html", companies=found)


@router.get("/mon-compte/entreprises/{company_id}/quitter")
async def leaving_company(request: Request, person: CurrentPerson, company_id: str) -> Response:
    found = _named(await person.api.get("directory/me/companies"), company_id)
    if found is None:
        return to("/mon-compte/entreprises")
    memberships = await _memberships(person)
    lost = [one for one in memberships if one["company"]["id"] == company_id]
    return page(
        request, "account/leave_company.html", company=found, memberships=lost, form=blank()
    )


@router.post("/mon-compte/entreprises/{company_id}/quitter")
async def leave_company(
    request: Request, person: CurrentPerson, company_id: str, form: SentForm
) -> Response:
    """Refused to the one person who answers for a company with others: somebody else comes first."""
    try:
        await _gone(person, f"directory/companies/{company_id}/attachments/me")
    except ApiError as refused:
        if refused.status != 409:
            raise
        form.refuse(refused)
        found = _named(await person.api.get("directory/me/companies"), company_id)
        return page(request, "account/leave_company.html", company=found, memberships=[], form=form)
    return to("/mon-compte/entreprises", done="entreprise-quittee")


def _named(listed: list[dict[str, Any]], wanted: str) -> dict[str, Any] | None:
    return next((one for one in listed if one["id"] == wanted), None)


async def _gone(person: Person, path: str) -> None:
    try:
        await person.api.delete(path)
    except ApiError as refused:
        if refused.status != 404:
            raise
