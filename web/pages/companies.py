"""Company sheets: what the viewer may see of one, and its people's work on it."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from web import sheets
from web.forms import Form, SentForm
from web.gateway import Api, ApiError
from web.rendering import page, to
from web.sessions import CurrentPerson, Person

router = APIRouter()


@router.get("/entreprises/{company_id}")
async def company(request: Request, person: CurrentPerson, company_id: UUID) -> Response:
    found = await person.api.get(f"directory/companies/{company_id}")
    colleagues = None
    if _administers(found):
        colleagues = await person.api.get(f"directory/companies/{company_id}/attachments")
    return page(request, "companies/sheet.html", company=found, colleagues=colleagues)


def _administers(company: dict[str, Any]) -> bool:
    own = company["attachment"] or {}
    return (own.get("role"), own.get("state")) == ("administrator", "active")


@router.get("/entreprises/{company_id}/modifier")
async def edit(request: Request, person: CurrentPerson, company_id: UUID) -> Response:
    found = await person.api.get(f"directory/companies/{company_id}")
    if not _administers(found):
        return to(f"/entreprises/{company_id}")
    return await _form_page(request, person, sheets.filled(found), found)


@router.post("/entreprises/{company_id}/modifier")
async def save(
    request: Request, person: CurrentPerson, form: SentForm, company_id: UUID
) -> Response:
    path = f"directory/companies/{company_id}"
    if not form.value("search"):
        body = await sheets.sheet_of(person.api, form)
        if not form.failed:
            try:
                await _patch(person.api, path, body, version=form.value("version"))
            except ApiError as refused:
                if refused.slug == "version-conflict":
                    form.title = (
                        "Un collègue a changé la fiche entre-temps. Ce que vous avez saisi est "
                        "encore là : envoyez-le à nouveau pour remplacer sa version."
                    )
                    now = await person.api.get(path)
                    form.values = {**form.values, "version": [str(now["version"])]}
                else:
                    sheets.refuse(form, refused)
            else:
                return to(f"/entreprises/{company_id}", done="fiche")
    return await _form_page(request, person, form, await person.api.get(path))


async def _patch(api: Api, path: str, body: dict[str, Any], *, version: str) -> None:
    await api.send("PATCH", path, json=body, headers={"If-Match": f'"{version}"'})


async def _form_page(
    request: Request, person: Person, form: Form, company: dict[str, Any]
) -> Response:
    return await sheets.form_page(
        request, person.api, form, siret=company["siret"], company=company
    )


@router.post("/entreprises/{company_id}/personnes/{person_id}")
async def answer(
    person: CurrentPerson, form: SentForm, company_id: UUID, person_id: UUID
) -> Response:
    """Let a colleague act for the company, in a role; or end that."""
    path = f"directory/companies/{company_id}/attachments/{person_id}"
    role = form.value("role")
    if role in {"colleague", "administrator"}:
        await person.api.post(f"{path}/acceptance", {"role": role})
        return to(f"/entreprises/{company_id}", done="collegue")
    await person.api.delete(path)
    return to(f"/entreprises/{company_id}", done="collegue-retire")
