"""Consultations as their readers see them: the list, one of them, what one's company replied."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from web import naming
from web.gateway import Api
from web.rendering import left, page
from web.sessions import AnyApi, CurrentPerson, OptionalPerson, Person

router = APIRouter()

STATES = {
    "ouvertes": ("published", "Ouvertes"),
    "closes": ("closed", "Closes"),
    "annulees": ("cancelled", "Annulées"),
    "toutes": ("", "Toutes"),
}
"""The filter of a list: its word in addresses, the state of the interface, what it is called."""


@router.get("/consultations")
async def consultations(  # noqa: PLR0917 - FastAPI passes them by name
    request: Request,
    api: AnyApi,
    person: OptionalPerson,
    etat: str = "ouvertes",
    communaute: str = "",
    suite: str = "",
) -> Response:
    """What the visitor may know of: `etat`, `communaute` and `suite` (a cursor) are in the address."""
    known = await naming.communities(request)
    chosen = next((one for one in known.values() if one["slug"] == communaute), None)
    found = await api.get(
        "consultations/consultations",
        state=STATES.get(etat, STATES["ouvertes"])[0],
        community=chosen["id"] if chosen else "",
        after=suite,
    )
    items = [one for one in found["items"] if one["state"] != "draft"]
    given = {"etat": etat if etat in STATES else "ouvertes", "communaute": communaute}
    return page(
        request,
        "consultations/list.html",
        items=items,
        names=await naming.companies(api, (one["company_id"] for one in items)),
        communities=known,
        chosen=given,
        filters={
            "etat": [(name, label) for name, (_, label) in STATES.items()],
            "communaute": [("", "Toutes"), *((one["slug"], one["name"]) for one in known.values())],
        },
        tabs=tabs(person),
        more=_address("/consultations", **given, suite=found["next"] or ""),
        first=_address("/consultations", **given) if suite else "",
        filtered=bool(chosen) or given["etat"] != "ouvertes",
    )


def _address(path: str, *, suite: str | None = None, **given: str) -> str:
    """The address of a page of a list; of the following one (`suite`) empty when there is none."""
    if suite == "":
        return ""
    values = {name: value for name, value in given.items() if value}
    return f"{path}?{urlencode(values | ({'suite': suite} if suite else {}))}"


def tabs(person: Person | None) -> list[tuple[str, str]]:
    """The lists of consultations that this person has."""
    if person is None:
        return []
    lists = [("/consultations", "Toutes les consultations"), ("/mes-reponses", "Mes réponses")]
    if "buyer" in person.roles:
        lists.append(("/mes-consultations", "Mes consultations"))
    return lists


@router.get("/mes-reponses")
async def own_replies(request: Request, person: CurrentPerson, suite: str = "") -> Response:
    found = await person.api.get("consultations/me/replies", after=suite)
    callers = (one["consultation"]["company_id"] for one in found["items"])
    return page(
        request,
        "consultations/own_replies.html",
        items=found["items"],
        names=await naming.companies(
            person.api, [*callers, *(one["company_id"] for one in found["items"])]
        ),
        tabs=tabs(person),
        more=_address("/mes-reponses", suite=found["next"] or ""),
        first="/mes-reponses" if suite else "",
    )


@router.get("/consultations/{id}")
async def consultation(request: Request, api: AnyApi, person: OptionalPerson, id: UUID) -> Response:
    """In brief for a visitor, in full for members; with its next steps for whoever has some."""
    found = await api.get(f"consultations/consultations/{id}")
    own = await own_replies_to(person, found) if person else []
    return page(
        request,
        "consultations/one.html",
        one=found,
        names=await naming.companies(api, [found["company_id"]]),
        communities=await naming.communities(request),
        open=is_open(found),
        live=[one for one in own if one["state"] == "submitted"],
        own=own,
        companies=await may_reply_for(person, found) if person and is_open(found) else [],
        states=states(found),
        buyer=person is not None and "buyer" in person.roles,
    )


def is_open(consultation: dict[str, Any]) -> bool:
    """Whether replies come and go."""
    return consultation["state"] == "published" and bool(left(consultation["closes_at"]))


async def own_replies_to(person: Person, consultation: dict[str, Any]) -> list[dict[str, Any]]:
    """What this person and their companies replied; nothing for the buyer's side."""
    if consultation.get("mine"):
        return []
    found = await person.api.get(f"consultations/consultations/{consultation['id']}/replies")
    replies: list[dict[str, Any]] = found["items"]
    return replies


async def may_reply_for(person: Person, consultation: dict[str, Any]) -> list[dict[str, Any]]:
    """The person's companies that are members of one of its communities."""
    reached = {one["id"] for one in consultation["communities"]}
    companies: dict[str, dict[str, Any]] = {}
    if consultation["kind"] != "public_link" and not consultation.get("mine"):
        for one in await person.api.get("directory/me/memberships"):
            if one["state"] == "active" and one["community"]["id"] in reached:
                companies[one["company"]["id"]] = one["company"]
    return list(companies.values())


def states(consultation: dict[str, Any]) -> list[dict[str, Any]]:
    """The stations of a consultation, as a timeline: what was, what is, what comes."""
    state = consultation["state"]
    told = []
    if "created_at" in consultation and consultation.get("mine"):
        told.append(_station("Brouillon", consultation["created_at"], now=state == "draft"))
    if state == "draft":
        return [
            *told,
            {"title": "Publication", "state": "waiting", "text": "Quand vous le décidez."},
            {"title": "Clôture", "state": "waiting", "at": consultation["closes_at"]},
        ]
    told.append(_station("Publiée", consultation["published_at"]))
    if state == "cancelled":
        return [
            *told,
            {"title": "Annulée", "state": "refused", "at": consultation.get("ended_at") or ""},
        ]
    if is_open(consultation):
        rest = left(consultation["closes_at"])
        told.append({"title": "Ouverte aux réponses", "state": "now", "text": f"Encore {rest}."})
        return [*told, {"title": "Clôture", "state": "waiting", "at": consultation["closes_at"]}]
    return [*told, _station("Close", consultation.get("ended_at") or consultation["closes_at"])]


def _station(title: str, at: str, *, now: bool = False) -> dict[str, Any]:
    return {"title": title, "state": "now" if now else "done", "at": at}


async def visible(api: Api, id: UUID) -> dict[str, Any]:
    """One consultation; raises `ApiError` 404 for who may not know of it."""
    found: dict[str, Any] = await api.get(f"consultations/consultations/{id}")
    return found
