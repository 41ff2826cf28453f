"""Leaving: what goes and what stays, the password, then the erasure as it happens, with its proof."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from web import sessions
from web.forms import Form, SentForm, blank
from web.gateway import ApiError
from web.headers import NEVER_STORED
from web.held import Stays, held_about, stays
from web.rendering import counted, page, to
from web.runtime import runtime_of
from web.sessions import CurrentPerson, OptionalPerson, Person, visitor
from web.words import WAIVERS, participant, place

router = APIRouter()

COOKIE = "__Host-erasure"
"""The reference and the key of an erasure, so that the browser that asked for it can follow it."""
_KEPT = timedelta(days=62)
"""Two months: the legal deadline, and time to come back for the certificate."""
_TWICE_S = 60
FOLLOW = "/mon-effacement"


class Followed(NamedTuple):
    """An erasure, and the key that was given to whoever asked for it."""

    erasure_id: str
    key: str


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
    departures = runtime_of(request).departures
    if name not in departures:
        if person is None:
            raise sessions.LoginNeededError
        departures[name] = asyncio.create_task(_leave(person, password))
    try:
        # A form that is sent twice gets the answer of the first: the key is given once, and the
        # browser listens to the second.
        given = await asyncio.shield(departures[name])
        asyncio.get_running_loop().call_later(_TWICE_S, departures.pop, name, None)
    except ApiError as refused:
        departures.pop(name, None)
        if person is None:
            raise
        if refused.slug == "wrong-credentials":
            form.fail("password", "Ce n'est pas votre mot de passe. Rien n'a été supprimé.")
        elif refused.status == 422:
            form.refuse(refused, at="password")
        else:
            raise
        return await _decision(request, person, form)
    answer = to(f"{FOLLOW}?nouveau=oui")
    sessions.clear_cookie(request, answer)
    _remember(answer, Followed(given["erasure_id"], given["key"]))
    return answer


async def _leave(person: Person, password: str) -> Any:
    return (await person.api.delete("identity/me", {"password": password})).data


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
    followed = _followed(request)
    if followed is None:
        return page(request, "leaving/find.html", form=blank())
    found = await _erasure(request, followed)
    if found is None:
        answer = page(request, "leaving/find.html", form=blank(), lost=True)
        _forget(answer)
        return answer
    done = found["state"] == "completed"
    certificate = await _certificate(request, followed) if done else None
    answer = page(
        request,
        "leaving/follow.html",
        fragment="progress",
        erasure=found,
        entries=_entries(found),
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
        followed = Followed(form.value("reference"), "".join(form.value("key").split()))
        if _plausible(followed) and await _erasure(request, followed):
            answer = to(FOLLOW)
            _remember(answer, followed)
            return answer
        form.title = "Aucun effacement ne correspond à ce numéro et à cette clé."
        form.fail("reference", "Vérifiez le numéro, tel qu'il vous a été montré.")
        form.fail("key", "Vérifiez la clé : elle doit être entière.")
    return page(request, "leaving/find.html", form=form)


@router.post(f"{FOLLOW}/oublier")
async def forget(_: Request) -> Response:
    """Nothing on this device leads to the erasure any more; it goes on all the same."""
    answer = to(FOLLOW, done="suivi-oublie")
    _forget(answer)
    return answer


@router.get(f"{FOLLOW}/fiche.txt")
async def leaflet(request: Request) -> Response:
    """Reference and key as a file: the key is too long to be written down."""
    followed = _followed(request)
    if followed is None:
        return to(FOLLOW)
    address = runtime_of(request).settings.public_url
    text = (
        "CCI Business : suivi de l'effacement de votre compte\r\n\r\n"
        f"Page de suivi : {address}{FOLLOW}\r\n"
        f"Numéro : {followed.erasure_id}\r\n"
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
    followed = _followed(request)
    if followed is None:
        return to(FOLLOW)
    try:
        found = await visitor(request).send(
            "GET",
            f"privacy/certificates/{followed.erasure_id}",
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
            f"privacy/{what}/{followed.erasure_id}",
            headers={"Erasure-Key": followed.key},
        )
    except ApiError as refused:
        if refused.status in {401, 404, 409, 422}:
            return None
        raise
    found: dict[str, Any] = json.loads(answer.content)
    return found


def _entries(found: Mapping[str, Any]) -> list[dict[str, Any]]:
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
        f"{value} {word}{'s' if value > 1 else ''}"
        for value, word in (
            (counts["deleted"], "effacé"),
            (counts["detached"], "rendu anonyme"),
            (counts["kept"], "gardé"),
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


def _plausible(followed: Followed) -> bool:
    """Fit for an address and a header: it comes from a browser."""
    try:
        UUID(followed.erasure_id)
    except ValueError:
        return False
    return followed.key.replace(".", "").replace("-", "").replace("_", "").isalnum() and (
        followed.key.isascii() and len(followed.key) <= 2000
    )


def _followed(request: Request) -> Followed | None:
    erasure_id, _, key = request.cookies.get(COOKIE, "").partition(".")
    found = Followed(erasure_id, key)
    return found if _plausible(found) else None


def _remember(answer: Response, followed: Followed) -> None:
    answer.set_cookie(
        COOKIE,
        f"{followed.erasure_id}.{followed.key}",
        max_age=int(_KEPT.total_seconds()),
        path="/",
        secure=True,
        httponly=True,
        samesite="lax",
    )


def _forget(answer: Response) -> None:
    answer.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
