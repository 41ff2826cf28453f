"""The buyer's side: drafts, publication, closing early, giving up."""

from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from chassis import clock
from web import naming, words
from web.declared import declared
from web.forms import Form, SentForm, blank
from web.gateway import ApiError
from web.pages.consultations import STATES, tabs, visible
from web.pages.replies import CONTACT, contact_in
from web.rendering import PARIS, instant, page, to
from web.sessions import CurrentPerson, Person

router = APIRouter()

_FILTERS = {"toutes": ("", "Toutes"), "brouillons": ("draft", "Brouillons"), **STATES}


class Step(NamedTuple):
    """What a buyer decides on a page of its own. `send`: the method and end of the address."""

    title: str
    button: str
    method: str
    path: str
    done: str
    state: str
    """The state in which it can be decided."""
    to: str = "/consultations/{id}"


STEPS = {
    "publication": Step(
        "Publier la consultation",
        "Publier",
        "POST",
        "/publication",
        "consultation-publiee",
        "draft",
    ),
    "cloture": Step(
        "Clore la consultation maintenant",
        "Clore maintenant",
        "POST",
        "/closure",
        "consultation-close",
        "published",
        "/consultations/{id}/reponses",
    ),
    "annulation": Step(
        "Annuler la consultation",
        "Annuler la consultation",
        "POST",
        "/cancellation",
        "consultation-annulee",
        "published",
    ),
    "suppression": Step(
        "Supprimer le brouillon",
        "Supprimer le brouillon",
        "DELETE",
        "",
        "brouillon-supprime",
        "draft",
        "/mes-consultations",
    ),
}


StepName = Literal["publication", "cloture", "annulation", "suppression"]


@router.get("/mes-consultations")
async def own(
    request: Request, person: CurrentPerson, etat: str = "toutes", suite: str = ""
) -> Response:
    chosen = etat if etat in _FILTERS else "toutes"
    found = await person.api.get(
        "consultations/consultations", mine="true", state=_FILTERS[chosen][0], after=suite
    )
    here = f"/mes-consultations?etat={chosen}"
    return page(
        request,
        "consultations/own.html",
        items=found["items"],
        names=await naming.companies(person.api, (one["company_id"] for one in found["items"])),
        communities=await naming.communities(request),
        filters=[(name, label) for name, (_, label) in _FILTERS.items()],
        chosen=chosen,
        tabs=tabs(person),
        more=f"{here}&suite={found['next']}" if found["next"] else "",
        first=here if suite else "",
    )


@router.get("/mes-consultations/nouvelle")
async def new(request: Request, person: CurrentPerson) -> Response:
    return await _draft_page(request, person, blank(kind="sourcing", closes_time="18:00"))


@router.post("/mes-consultations/nouvelle")
async def create(request: Request, person: CurrentPerson, form: SentForm) -> Response:
    body = _draft_in(form)
    if not form.failed:
        body["company_id"] = form.value("company_id") or None
        try:
            made = await person.api.post("consultations/consultations", body, key=form.key)
        except ApiError as refused:
            _refuse(form, refused)
        else:
            return to(f"/consultations/{made.data['id']}", done="brouillon")
    return await _draft_page(request, person, form)


@router.get("/consultations/{id}/modifier")
async def edit(request: Request, person: CurrentPerson, id: UUID) -> Response:
    found = await visible(person.api, id)
    if not found.get("mine") or found["state"] != "draft":
        return to(f"/consultations/{id}")
    closes = instant(found["closes_at"])
    contact = found["contact"] or {}
    form = blank(
        title=found["title"],
        description=found["description"],
        kind=found["kind"],
        external_url=found["external_url"],
        communities=[one["id"] for one in found["communities"]],
        closes_on=f"{closes:%Y-%m-%d}",
        closes_time=f"{closes:%H:%M}",
        public="oui" if found["public"] else None,
        **{f"contact.{name}": contact.get(name) for name in CONTACT},
    )
    return await _draft_page(request, person, form, draft=found)


@router.post("/consultations/{id}/modifier")
async def save(request: Request, person: CurrentPerson, id: UUID, form: SentForm) -> Response:
    body = _draft_in(form)
    if not form.failed:
        try:
            await person.api.patch(f"consultations/consultations/{id}", body)
        except ApiError as refused:
            _refuse(form, refused)
        else:
            return to(f"/consultations/{id}", done="brouillon")
    return await _draft_page(request, person, form, draft=await visible(person.api, id))


async def _draft_page(
    request: Request, person: Person, form: Form, *, draft: dict[str, Any] | None = None
) -> Response:
    companies = [
        one for one in await person.api.get("directory/me/companies") if one["state"] == "active"
    ]
    return page(
        request,
        "consultations/draft.html",
        form=form,
        draft=draft,
        companies=companies,
        options=[(one["id"], one["name"]) for one in companies],
        communities=[
            (one["id"], one["name"]) for one in (await naming.communities(request)).values()
        ],
        kinds=list(words.CONSULTATION_KINDS.items()),
        about=await declared(request, "consultations", "consultation"),
    )


def _draft_in(form: Form) -> dict[str, Any]:
    """What the interface takes, out of the form; notes what is missing."""
    form.require(
        title="Donnez un titre.",
        description="Décrivez votre besoin.",
        kind="Choisissez ce que vous demandez.",
        closes_on="Indiquez le jour de clôture.",
        closes_time="Indiquez l'heure de clôture.",
    )
    if not form.all("communities"):
        form.fail("communities", "Choisissez au moins une communauté.")
    elsewhere = form.value("kind") == "public_link"
    if elsewhere and not form.value("external_url"):
        form.fail("external_url", "Donnez l'adresse de la consultation.")
    return {
        "title": form.value("title"),
        "description": form.value("description"),
        "kind": form.value("kind"),
        "external_url": form.value("external_url") if elsewhere else None,
        "communities": list(form.all("communities")),
        "closes_at": _closing(form),
        "public": form.checked("public"),
        "contact": contact_in(form),
    }


def _closing(form: Form) -> str | None:
    """The instant of the clock on the wall in Paris."""
    if not form.value("closes_on") or not form.value("closes_time"):
        return None
    try:
        said = datetime.fromisoformat(f"{form.value('closes_on')}T{form.value('closes_time')}")
        closing = said.replace(tzinfo=PARIS).astimezone(UTC)
    except (ValueError, OverflowError):
        form.fail("closes_on", "Indiquez un jour et une heure, par exemple 31/12/2027 et 18:00.")
        return None
    if closing <= clock.now():
        form.fail("closes_on", "La clôture doit être à venir.")
    return closing.isoformat()


def _refuse(form: Form, refused: ApiError) -> None:
    """Errors of the instant belong to the day; a general refusal about the link, to the link."""
    if "closes_at" in refused.errors:
        form.fail("closes_on", refused.errors.pop("closes_at"))
    at = {"link-mismatch": "external_url", "unknown-community": "communities"}.get(refused.slug)
    form.refuse(refused, at="company_id" if refused.slug == "company-needed" else at or "")


@router.get("/consultations/{id}/{step}")
async def confirm(request: Request, person: CurrentPerson, id: UUID, step: StepName) -> Response:
    return await _confirm_page(request, person, id, step, blank())


@router.post("/consultations/{id}/{step}")
async def decide(
    request: Request, person: CurrentPerson, id: UUID, step: StepName, form: SentForm
) -> Response:
    """What was decided already, by a double click or in another tab, is shown as it is now."""
    told = STEPS[step]
    try:
        await person.api.send(told.method, f"consultations/consultations/{id}{told.path}")
    except ApiError as refused:
        if refused.status == 409:
            return to(f"/consultations/{id}", done="deja-fait")
        if refused.slug == "not-found" and step == "suppression":
            return to(told.to, done="deja-fait")
        form.refuse(refused)
        return await _confirm_page(request, person, id, step, form)
    return to(told.to.format(id=id), done=told.done)


async def _confirm_page(
    request: Request, person: Person, id: UUID, step: StepName, form: Form
) -> Response:
    told = STEPS[step]
    found = await visible(person.api, id)
    if not found.get("mine") or found["state"] != told.state:
        return to(f"/consultations/{id}")
    return page(
        request,
        "consultations/confirm.html",
        form=form,
        one=found,
        step=step,
        told=told,
        communities=await naming.communities(request),
    )
