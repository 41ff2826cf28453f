"""The form of a company sheet: from what people know, a postcode and a trade, to official codes."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from starlette.responses import Response

from web.declared import declared
from web.forms import Form, blank
from web.gateway import Api, ApiError
from web.joining import Steps
from web.rendering import page, phone, wants_part

_TEXTS = ("name", "phone", "email", "website", "activity")
_PARTS = {"commune": "companies/commune.html", "trade": "companies/trade.html"}
_CODE = re.compile(r"[0-9]{2}\.?[0-9]{2}\s?[A-Za-z]")


def filled(sheet: dict[str, Any]) -> Form:
    """The form of a sheet that exists, or of what is known of one that is to be made."""
    address = sheet.get("address") or sheet
    return blank(
        **{name: sheet.get(name) for name in _TEXTS if name != "phone"},
        phone=phone(sheet.get("phone") or ""),
        **{f"address.{name}": address.get(name) for name in ("street", "postcode", "commune_code")},
        naf=sheet.get("naf"),
        social="\n".join(sheet.get("social") or ()),
        sole_trader="oui" if sheet.get("sole_trader") else None,
        version=str(sheet["version"]) if "version" in sheet else None,
    )


async def communes(api: Api, form: Form) -> list[dict[str, Any]]:
    """Those of the postcode; for a CEDEX, which is of no commune, those of the name in its department."""
    postcode, town = form.value("address.postcode"), form.value("town")
    if not re.fullmatch("[0-9]{5}", postcode):
        return []
    found: list[dict[str, Any]] = await api.get("directory/reference/communes", q=postcode)
    if found or len(town) < 2:
        return found
    named = await api.get("directory/reference/communes", q=town[:100])
    return [one for one in named if any(code[:2] == postcode[:2] for code in one["postcodes"])]


async def trades(api: Api, form: Form) -> list[dict[str, Any]]:
    """The activities that somebody's word may mean; none when it is a code."""
    word = form.value("naf")
    if len(word) < 2 or _CODE.fullmatch(word):
        return []
    found: list[dict[str, Any]] = await api.get("directory/reference/naf", q=word[:100])
    return found


async def sheet_of(api: Api, form: Form) -> dict[str, Any]:
    """The sheet as the interface takes it; what is left to choose is noted as an error."""
    form.require(
        name="Indiquez le nom de l'entreprise.",
        phone="Indiquez le téléphone de l'entreprise.",
        **{
            "address.street": "Indiquez le numéro et la rue.",
            "address.postcode": "Indiquez le code postal.",
        },
    )
    return {
        **{name: form.value(name) for name in _TEXTS},
        "sole_trader": form.checked("sole_trader"),
        "social": form.lines("social"),
        "address": {
            "street": form.value("address.street"),
            "postcode": form.value("address.postcode"),
            "commune_code": await _commune(api, form),
        },
        "naf": await _trade(api, form),
    }


async def _commune(api: Api, form: Form) -> str:
    found = _chosen(form, "address.commune_code", await communes(api, form))
    if found is None and form.value("address.postcode"):
        form.fail(
            "address.postcode",
            "Aucune commune n'a ce code postal. Corrigez-le ; pour un CEDEX, indiquez aussi la commune.",
        )
    return found or ""


async def _trade(api: Api, form: Form) -> str:
    found = _chosen(form, "naf_choice", await trades(api, form))
    if found is None and form.value("naf") and not _CODE.fullmatch(form.value("naf")):
        form.fail("naf", "Aucune activité ne porte ce nom. Essayez un autre mot, ou laissez vide.")
    return found or form.value("naf")


def _chosen(form: Form, name: str, options: Sequence[Mapping[str, Any]]) -> str | None:
    """The code that was chosen, or the only one there is; empty, with an error, when it is to be chosen
    yet; None when there is none.
    """
    codes = [str(one["code"]) for one in options]
    if form.value(name) in codes:
        return form.value(name)
    if len(codes) > 1:
        form.fail(name, "Choisissez dans la liste.")
        return ""
    return codes[0] if codes else None


async def form_page(
    request: Request,
    api: Api,
    form: Form,
    *,
    siret: str,
    company: dict[str, Any] | None = None,
    steps: Steps | None = None,
) -> Response:
    """The form; or the part of it that follows from a field, when htmx asks for that."""
    about, places, activities = await asyncio.gather(
        declared(request, "directory", "company"), communes(api, form), trades(api, form)
    )
    part = _PARTS.get(form.value("search")) if wants_part(request) else None
    if part == _PARTS["commune"] and not places and not form.value("address.commune_code"):
        return Response(status_code=204)  # the field is there already, and perhaps being typed into
    return page(
        request,
        part or "companies/form.html",
        form=form,
        siret=siret,
        company=company,
        steps=steps,
        about=about,
        communes=[(one["code"], one["name"]) for one in places],
        trades=[(one["code"], f"{one['label']} ({one['code']})") for one in activities],
    )


def refuse(form: Form, refused: ApiError) -> None:
    """What the interface says is wrong, at the fields that this form has."""
    form.refuse(refused)
    form.gather("social")
    if "address" in form.errors:
        form.fail("address.postcode", form.errors.pop("address"))
