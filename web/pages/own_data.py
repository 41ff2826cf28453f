"""Mes données: what is held where and who reads it, a copy to take away, requests about it."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from web.declared import declared
from web.followed import Followed
from web.forms import Form, SentForm, blank
from web.gateway import ApiError
from web.held import held_about
from web.pages.rights import COPY, STATES, entries
from web.rendering import day, moment, page, to
from web.runtime import runtime_of
from web.sessions import CurrentPerson, Person
from web.words import RIGHTS

router = APIRouter()

PAGE = "/mon-compte/donnees"
_ROWS_SHOWN = 20
COPIES = {
    "waiting": ("En préparation", "waiting"),
    "ready": ("Prête", "done"),
    "failed": ("Impossible à faire", "refused"),
}


@router.get(PAGE)
async def own_data(request: Request, person: CurrentPerson) -> Response:
    return page(
        request,
        "account/data.html",
        held=await held_about(person.api),
        copies=await person.api.get("privacy/me/exports"),
        copy_states=COPIES,
        requests=await person.api.get("privacy/me/rights-requests"),
        states=STATES,
        consents=await person.api.get("privacy/me/consents"),
        form=blank(),
    )


@router.get(f"{PAGE}/detail")
async def detail(request: Request, person: CurrentPerson) -> Response:
    """Every value, as the services show it now."""
    return page(
        request,
        "account/values.html",
        held=await held_about(person.api),
        row_facts=_row_facts,
        shown=_ROWS_SHOWN,
    )


def _row_facts(section: Mapping[str, Any], row: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """One record as terms and values; what is empty is left out."""
    told = [
        (one["label"], value_of(one["kind"], row.get(one["name"]))) for one in section["columns"]
    ]
    return [pair for pair in told if pair[1]]


def value_of(kind: str, value: Any) -> Any:
    """A value as the service gave it, made readable."""
    if value in (None, "", []):
        return ""
    match kind:
        case "instant":
            return moment(value)
        case "date":
            return day(value)
        case "boolean":
            return "oui" if value else "non"
        case "secret":
            return "enregistré, illisible" if value else ""
        case "file":
            return "un fichier, dans la copie"
        case "bytes":
            return "illisible sans sa clé"
        case "list" | "json":
            return ", ".join(str(one) for one in value) if isinstance(value, list) else str(value)
    return str(value)


@router.post(f"{PAGE}/copie")
async def ask_for_copy(request: Request, person: CurrentPerson, form: SentForm) -> Response:
    """One at a time, three a day: what is too much has its page (429)."""

    async def made_once() -> Any:
        return (await person.api.post("privacy/me/exports")).data

    made = await runtime_of(request).once(f"{person.account_id}.{form.key}", made_once)
    answer = to(f"{PAGE}/copies/{made['id']}?nouveau=oui")
    COPY.keep(answer, Followed(made["id"], made["key"]))
    return answer


@router.get(f"{PAGE}/copies/{{copy_id}}")
async def copy(request: Request, person: CurrentPerson, copy_id: str) -> Response:
    return await _copy_page(request, person, copy_id, blank())


@router.post(f"{PAGE}/copies/{{copy_id}}")
async def download(
    request: Request, person: CurrentPerson, copy_id: str, form: SentForm
) -> Response:
    """Through here as it comes, never whole in memory; the key is in no address and in no log."""
    if not form.require(key="Indiquez la clé de la copie."):
        return await _copy_page(request, person, copy_id, form)
    key = "".join(form.value("key").split())
    if not Followed(copy_id, key).plausible:
        form.fail("key", "Ce n'est pas la clé de cette copie.")
        return await _copy_page(request, person, copy_id, form)
    http = runtime_of(request).http
    asked = http.build_request(
        "GET",
        f"/api/privacy/me/exports/{copy_id}/archive",
        headers={**person.api.headers, "Export-Key": key},
        timeout=60,
    )
    answer = await http.send(asked, stream=True)
    if answer.status_code != 200:
        await answer.aclose()
        form.fail("key", "Ce n'est pas la clé de cette copie, ou la copie n'est pas prête.")
        return await _copy_page(request, person, copy_id, form)

    async def parts() -> Any:
        try:
            async for part in answer.aiter_bytes():
                yield part
        finally:
            await answer.aclose()

    return StreamingResponse(
        parts(),
        media_type="application/zip",
        headers={"Content-Disposition": 'attachment; filename="mes-donnees-cci-business.zip"'},
    )


async def _copy_page(request: Request, person: Person, copy_id: str, form: Form) -> Response:
    listed = await person.api.get("privacy/me/exports")
    found = next((one for one in listed if one["id"] == copy_id), None)
    if found is None:
        return to(PAGE, done="copie-partie")
    kept = COPY.of(request)
    key = kept if kept and kept.reference == copy_id else None
    if key and not form.values:
        form = blank(key=key.key)
    return page(
        request, "account/copy.html", copy=found, state=COPIES[found["state"]], key=key, form=form
    )


@router.get("/mon-compte/demandes/nouvelle")
async def new_request(request: Request, person: CurrentPerson, droit: str = "") -> Response:
    del person
    return await _request_form(request, blank(kind=droit if droit in RIGHTS else None))


@router.post("/mon-compte/demandes/nouvelle")
async def ask(request: Request, person: CurrentPerson, form: SentForm) -> Response:
    if form.require(kind="Choisissez votre demande."):
        body = {"kind": form.value("kind")}
        if message := form.value("message"):
            body["message"] = message
        try:
            made = await person.api.post("privacy/me/rights-requests", body, key=form.key)
        except ApiError as refused:
            form.refuse(refused)
        else:
            if made.status == 202:
                return to("/contact/message-envoye")
            answer = to(f"/mon-compte/demandes/{made.data['request_id']}", done="demande")
            if export := made.data["export"]:
                COPY.keep(answer, Followed(export["export_id"], export["key"]))
            return answer
    return await _request_form(request, form)


async def _request_form(request: Request, form: Form) -> Response:
    about = await declared(request, "privacy", "rights_contact")
    return page(request, "account/new_request.html", form=form, about=about)


@router.get("/mon-compte/demandes/{request_id}")
async def one_request(request: Request, person: CurrentPerson, request_id: str) -> Response:
    found = await person.api.get(f"privacy/rights-requests/{request_id}")
    return page(
        request,
        "account/request.html",
        asked=found,
        entries=entries(found),
        state=STATES[found["state"]],
        copy=COPY.of(request),
    )
