"""Leaving: what goes and what stays, the password, then the erasure as it happens, with its proof."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from web import sessions
from web.followed import Followed, Memory
from web.forms import Form, SentForm, blank
from web.gateway import ApiError
from web.headers import NEVER_STORED
from web.held import Stays, held_about, stays
from web.rendering import counted, page, to
from web.runtime import runtime_of
from web.sessions import CurrentPerson, OptionalPerson, Person, visitor
from web.words import WAIVERS, participant, place

router = APIRouter()

KEPT = Memory("__Host-erasure")
FOLLOW = "/mon-effacement"


@router.get("/mon-compte/suppression")
async def decide(request: Request, person: CurrentPerson) -> Response:
    return await _decision(request, person, blank())


@router.post("/mon-compte/suppression")
async def delete_account(request: Request, person: OptionalPerson, form: SentForm) -> Response:
    password = form.secret("password")
    if not password and person:
        form.fail("password", "Indiquez votre mot de passe pour confirmer.")
        return await _decision(request, person, form)
    name = f"{request.cookies.get(sessions.COOKIE, '')}.{form.key}"

    async def leave() -> Any:
        if person is None:
            raise sessions.LoginNeededError
        return (await person.api.delete("identity/me", {"password": password})).data

    try:
        given = await runtime_of(request).once(name, leave)
    except ApiError as refused:
        if person is None:
            raise
        if refused.slug == "wrong-credentials":
            form.fail("password", "Ce n'est pas votre mot de passe. Rien n'a été supprimé.")
        elif refused.status in {422, 429}:
            form.refuse(refused, at="password")
        else:
            raise
        return await _decision(request, person, form)
    answer = to(f"{FOLLOW}?nouveau=oui")
    sessions.clear_cookie(request, answer)
    KEPT.keep(answer, Followed(given["erasure_id"], given["key"]))
    return answer


async def _decision(request: Request, person: Person, form: Form) -> Response:
    """What is held is counted anew each time; when a service is away, the notice says what may be."""
    notice = await runtime_of(request).public("privacy/notice")
    held = await held_about(person.api)
    kept: Sequence[Stays] = stays(notice["processing"], held)
    return page(
        request,
        "leaving/decide.html",
        form=form,
        held=held,
        kept=kept,
        partners=notice["partners"],
        processing=notice["processing"],
    )


@router.get(FOLLOW)
async def follow(request: Request, nouveau: str = "", suivre: str = "") -> Response:
    """As it stands now. Asked again by htmx, by the reader, or by the browser if the reader wants so."""
    followed = KEPT.of(request)
    if followed is None:
        return page(request, "leaving/find.html", form=blank())
    found = await _erasure(request, followed)
    if found is None:
        answer = page(request, "leaving/find.html", form=blank(), lost=True)
        KEPT.forget(answer)
        return answer
    done = found["state"] == "completed"
    certificate = await _certificate(request, followed) if done else None
    answer = page(
        request,
        "leaving/follow.html",
        fragment="progress",
        erasure=found,
        entries=entries(found),
        proven=sum(step["outcome"] is not None for step in found["steps"]),
        left=_left(certificate) if certificate else [],
        tombstone=certificate["tombstone"] if certificate else "",
        followed=followed,
        fresh=bool(nouveau),
        watching=bool(suivre) and not done,
    )
    answer.headers["Cache-Control"] = NEVER_STORED
    if done and request.headers.get("hx-request-type") == "partial":
        answer.headers["HX-Refresh"] = "true"  # another title, another h1: another page
    return answer


@router.post(FOLLOW)
async def find(request: Request, form: SentForm) -> Response:
    """From another device, or later: the reference and the key."""
    if form.require(
        reference="Indiquez le numéro de l'effacement.", key="Indiquez la clé de suivi."
    ):
        followed = Followed.typed(form.value("reference"), form.value("key"))
        if followed.plausible and await _erasure(request, followed):
            answer = to(FOLLOW)
            KEPT.keep(answer, followed)
            return answer
        form.title = "Aucun effacement ne correspond à ce numéro et à cette clé."
        form.fail("reference", "Vérifiez le numéro, tel qu'il vous a été montré.")
        form.fail("key", "Vérifiez la clé : elle doit être entière.")
    return page(request, "leaving/find.html", form=form)


@router.post(f"{FOLLOW}/oublier")
async def forget(_: Request) -> Response:
    """Nothing on this device leads to the erasure any more; it goes on all the same."""
    answer = to(FOLLOW, done="suivi-oublie")
    KEPT.forget(answer)
    return answer


@router.get(f"{FOLLOW}/fiche.txt")
async def leaflet(request: Request) -> Response:
    """Reference and key as a file: the key is too long to be written down."""
    followed = KEPT.of(request)
    if followed is None:
        return to(FOLLOW)
    address = runtime_of(request).settings.public_url
    text = (
        "CCI Business : suivi de l'effacement de votre compte\r\n\r\n"
        f"Page de suivi : {address}{FOLLOW}\r\n"
        f"Numéro : {followed.reference}\r\n"
        f"Clé : {followed.key}\r\n\r\n"
        "Qui a ce numéro et cette clé voit l'avancement et le certificat, et rien d'autre.\r\n"
    )
    return _file(text.encode(), "suivi-effacement.txt", "text/plain; charset=utf-8")


@router.get(f"{FOLLOW}/certificat.pdf")
async def certificate_pdf(request: Request) -> Response:
    return await _download(request, "application/pdf", "certificat-effacement.pdf")


@router.get(f"{FOLLOW}/certificat.json")
async def certificate_json(request: Request) -> Response:
    return await _download(request, "application/json", "certificat-effacement.json")


async def _download(request: Request, media_type: str, name: str) -> Response:
    """As privacy signed it, byte for byte; without a proof yet, the page that says why."""
    followed = KEPT.of(request)
    if followed is None:
        return to(FOLLOW)
    try:
        found = await visitor(request).send(
            "GET",
            f"privacy/certificates/{followed.reference}",
            headers={"Erasure-Key": followed.key, "Accept": media_type},
        )
    except ApiError as refused:
        if refused.status in {404, 409}:
            return to(FOLLOW)
        raise
    return _file(found.content, name, media_type)


def _file(content: bytes, name: str, media_type: str) -> Response:
    return Response(
        content,
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _erasure(request: Request, followed: Followed) -> dict[str, Any] | None:
    return await _ask(request, "erasures", followed)


async def _certificate(request: Request, followed: Followed) -> dict[str, Any] | None:
    found = await _ask(request, "certificates", followed)
    return found and found["certificate"]


async def _ask(request: Request, what: str, followed: Followed) -> dict[str, Any] | None:
    try:
        answer = await visitor(request).send(
            "GET",
            f"privacy/{what}/{followed.reference}",
            headers={"Erasure-Key": followed.key},
        )
    except ApiError as refused:
        if refused.status in {401, 404, 409, 422}:
            return None
        raise
    found: dict[str, Any] = json.loads(answer.content)
    return found


def entries(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The timeline: the wish, every service and partner, the certificate."""
    steps = sorted(found["steps"], key=lambda step: place(step["participant"]))
    done = found["completed_at"]
    return [
        {"title": "Vous avez demandé la suppression", "state": "done", "at": found["requested_at"]},
        *(_entry(step) for step in steps),
        {
            "title": "Le certificat est signé",
            "state": "done" if done else "waiting",
            "at": done,
            "text": "" if done else "Dès que chacun a répondu.",
        },
    ]


def _entry(step: Mapping[str, Any]) -> dict[str, Any]:
    outcome, title = step["outcome"], participant(step["participant"])
    if outcome is None:
        late = bool(step["escalated"])
        return {
            "title": title,
            "state": "now",
            "text": "Pas encore de réponse. Le délégué à la protection des données est prévenu, et la "
            "demande est répétée."
            if late
            else "Efface et prépare sa preuve.",
        }
    waiver = step["waiver"]
    if outcome == "waived" and waiver:
        return {
            "title": title,
            "state": "refused",
            "at": waiver["waived_at"],
            "text": "Non prouvé. Le délégué à la protection des données l'en a dispensé : "
            f"{WAIVERS.get(waiver['reason'], waiver['reason'])}.",
        }
    return {
        "title": title,
        "state": "done",
        "at": step["acknowledged_at"],
        "text": _outcome(outcome, step["counts"]),
    }


def _outcome(outcome: str, counts: Mapping[str, int] | None) -> str:
    if outcome == "nothing_held":
        return "N'avait rien sur vous."
    if counts is None:
        return "Ce système confirme que tout est effacé."
    said = [
        counted(value, one, many)
        for value, one, many in (
            (counts["deleted"], "effacé", "effacés"),
            (counts["detached"], "rendu anonyme", "rendus anonymes"),
            (counts["kept"], "gardé", "gardés"),
        )
        if value
    ]
    return f"Enregistrements : {', '.join(said)}." if said else "N'avait rien sur vous."


def _left(certificate: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the certificate says is still there: rows under a rule, then what no erasure reaches."""
    return [
        *(
            {
                "what": f"{participant(one['participant'])} : {counted(one['rows'], 'enregistrement')}",
                "why": one["source"] or "Règle de conservation",
                "until": one["until"],
            }
            for one in certificate["kept"]
        ),
        *(
            {"what": what, "why": f"{why[:1].upper()}{why[1:]}", "until": one["until"]}
            for one in certificate["out_of_scope"]
            for what, _, why in [one["what"].partition(" : ")]
        ),
    ]
