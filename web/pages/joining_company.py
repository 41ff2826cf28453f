"""The company of somebody who joins: found by its SIRET, or made."""

import re
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import Response

from web import sheets
from web.declared import declared
from web.forms import Form, SentForm, blank
from web.gateway import ApiError
from web.joining import steps
from web.rendering import page, to
from web.sessions import CurrentPerson, Person

router = APIRouter()


@router.get("/inscription/entreprise")
async def company(request: Request, person: CurrentPerson) -> Response:
    return await _siret_page(request, person, blank())


@router.get("/inscription/entreprise/fiche")
async def sheet(request: Request, person: CurrentPerson, siret: str = "") -> Response:
    """What follows from a SIRET: a form to fill in, or a company to ask for."""
    form = blank(siret=siret)
    known = await _listed(person, form)
    if form.failed:
        return await _siret_page(request, person, form)
    if known and known["claimed"]:
        return await _claimed_page(request, person, form, known)
    form = sheets.filled({name: one for name, one in (known or {}).items() if one is not None})
    return await _sheet_page(request, person, form, siret)


@router.post("/inscription/entreprise/rattachement")
async def ask(person: CurrentPerson, form: SentForm) -> Response:
    asked = await person.api.post(f"{_by_siret(form.value('siret'))}/attachments")
    return _settled(asked.data)


@router.post("/inscription/entreprise/fiche")
async def list_company(
    request: Request, person: CurrentPerson, form: SentForm, siret: str = ""
) -> Response:
    if form.value("search"):  # for a part of the form: nothing is kept yet
        return await _sheet_page(request, person, form, siret)
    body = {"siret": siret, **await sheets.sheet_of(person.api, form)}
    if not form.failed:
        try:
            made = await person.api.post("directory/companies", body, key=form.key)
        except ApiError as refused:
            sheets.refuse(form, refused)
        else:
            return _settled(made.data["attachment"])
    return await _sheet_page(request, person, form, siret)


def _settled(attachment: dict[str, Any]) -> Response:
    if attachment["state"] == "pending":
        return to("/inscription/entreprise", done="rattachement")
    return to("/inscription/communaute", done="entreprise")


def _by_siret(siret: str) -> str:
    return f"directory/companies/by-siret/{quote(siret[:30], safe='')}"


async def _listed(person: Person, form: Form) -> dict[str, Any] | None:
    """The company that bears this SIRET, if one does; a number that is none is an error."""
    if form.require(siret="Indiquez le numéro SIRET de votre entreprise.") and not re.fullmatch(
        r"[\d\s.]+", form.value("siret")
    ):
        form.fail("siret", "Un SIRET compte 14 chiffres, et rien d'autre.")
    if form.failed:
        return None
    try:
        found: dict[str, Any] = await person.api.get(_by_siret(form.value("siret")))
    except ApiError as refused:
        if refused.status == 422:
            form.fail("siret", next(iter(refused.errors.values()), refused.title))
        elif refused.status != 404:
            form.refuse(refused, at="siret")
        return None
    return found


async def _siret_page(request: Request, person: Person, form: Form) -> Response:
    return page(
        request,
        "joining/siret.html",
        form=form,
        steps=await steps(person),
        about=await declared(request, "directory", "attachment"),
    )


async def _claimed_page(
    request: Request, person: Person, form: Form, known: dict[str, Any]
) -> Response:
    about = await declared(request, "directory", "attachment")
    return page(
        request,
        "joining/claimed.html",
        form=form,
        known=known,
        steps=await steps(person),
        about=about,
    )


async def _sheet_page(request: Request, person: Person, form: Form, siret: str) -> Response:
    number = "".join(siret.split())[:30]
    standing = await steps(person)
    return await sheets.form_page(request, person.api, form, siret=number, steps=standing)
