"""Exercising one's rights without an account: the form, the link of the mail, the request as it goes."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from web.declared import declared
from web.followed import Followed, Memory
from web.forms import Form, SentForm, blank
from web.gateway import ApiError
from web.rendering import page, to
from web.sessions import visitor
from web.words import RIGHTS

router = APIRouter()

KEPT = Memory("__Host-request")
FOLLOW = "/droits/suivi"
STEPS = {
    "received": "Demande reçue",
    "confirmed": "Demande confirmée par le lien du courriel",
    "identity_doubted": "Identité à vérifier : le délai est suspendu",
    "identity_checked": "Identité vérifiée",
    "extended": "Délai prolongé de deux mois, avec ses raisons",
    "erasure_started": "Effacement lancé partout",
    "export_started": "Copie de vos données en préparation",
    "processing_stopped": "Lettres, annonces et mesure d'audience arrêtées",
    "answered": "Réponse envoyée",
    "refused": "Demande refusée, avec ses raisons",
    "erased": "Effacement terminé",
    "mail_undeliverable": "Un courriel n'a pas pu être remis",
}
STATES = {
    "unconfirmed": ("À confirmer", "waiting"),
    "open": ("En cours", "waiting"),
    "identity_check": ("Identité à vérifier", "waiting"),
    "answered": ("Répondue", "done"),
    "refused": ("Refusée", "refused"),
}


@router.get("/contact")
async def contact(request: Request, droit: str = "") -> Response:
    return await _form(request, blank(kind=droit if droit in RIGHTS else None))


@router.post("/contact")
async def ask(request: Request, form: SentForm) -> Response:
    """The answer is the same whether or not the address has an account."""
    if form.require(kind="Choisissez votre demande.", email="Indiquez votre adresse e-mail."):
        body = {"kind": form.value("kind"), "email": form.value("email")}
        if message := form.value("message"):
            body["message"] = message
        try:
            await visitor(request).post("privacy/rights-requests", body)
        except ApiError as refused:
            form.refuse(refused)
        else:
            return to("/contact/message-envoye")
    return await _form(request, form)


async def _form(request: Request, form: Form) -> Response:
    about = await declared(request, "privacy", "rights_contact")
    return page(request, "privacy/contact.html", form=form, about=about)


@router.get("/contact/message-envoye")
async def mailed(request: Request) -> Response:
    return page(request, "privacy/mailed.html")


@router.get("/droits/confirmation")
async def confirm(request: Request, token: str = "") -> Response:
    """What the link stands for, and a button: programs that look for viruses follow links, too."""
    try:
        found = await visitor(request).get(f"privacy/rights-requests/confirmations/{token or '-'}")
    except ApiError as refused:
        return _expired(request, refused)
    return page(request, "privacy/confirm.html", form=blank(token=token), asked=found)


@router.post("/droits/confirmation")
async def confirmed(request: Request, form: SentForm) -> Response:
    try:
        made = await visitor(request).post(
            "privacy/rights-requests/confirmations", {"token": form.value("token")}
        )
    except ApiError as refused:
        return _expired(request, refused)
    copy = made.data["export"]
    answer = to(f"{FOLLOW}?nouveau=oui" + (f"&copie={copy['export_id']}" if copy else ""))
    KEPT.keep(answer, Followed(made.data["request_id"], made.data["key"]))
    if copy:
        COPY.keep(answer, Followed(copy["export_id"], copy["key"]))
    return answer


COPY = Memory("__Host-copy")
"""The key of a copy of one's data, until it was noted: nothing else knows it."""


def _expired(request: Request, refused: ApiError) -> Response:
    if refused.status not in {404, 410, 422}:
        raise refused
    return page(request, "privacy/expired.html", status=410)


@router.get(FOLLOW)
async def follow(request: Request, nouveau: str = "") -> Response:
    followed = KEPT.of(request)
    found = await _request(request, followed) if followed else None
    if found is None:
        return page(request, "privacy/find.html", form=blank())
    return page(
        request,
        "privacy/follow.html",
        asked=found,
        entries=entries(found),
        state=STATES[found["state"]],
        followed=followed,
        copy=COPY.of(request),
        fresh=bool(nouveau),
    )


@router.post(FOLLOW)
async def find(request: Request, form: SentForm) -> Response:
    if form.require(reference="Indiquez le numéro de la demande.", key="Indiquez sa clé."):
        followed = Followed.typed(form.value("reference"), form.value("key"))
        if followed.plausible and await _request(request, followed):
            answer = to(FOLLOW)
            KEPT.keep(answer, followed)
            return answer
        form.title = "Aucune demande ne correspond à ce numéro et à cette clé."
        form.fail("reference", "Vérifiez le numéro : il est aussi dans nos courriels.")
        form.fail("key", "Vérifiez la clé, telle qu'elle vous a été montrée.")
    return page(request, "privacy/find.html", form=form)


@router.post(f"{FOLLOW}/oublier")
async def forget(_: Request) -> Response:
    answer = to(FOLLOW, done="demande-oubliee")
    KEPT.forget(answer)
    COPY.forget(answer)
    return answer


async def _request(request: Request, followed: Followed) -> dict[str, Any] | None:
    try:
        answer = await visitor(request).send(
            "GET",
            f"privacy/rights-requests/{followed.reference}",
            headers={"Request-Key": followed.key},
        )
    except ApiError as refused:
        if refused.status in {401, 404, 422}:
            return None
        raise
    found: dict[str, Any] = answer.data
    return found


def entries(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The timeline of a request, with what is still to come."""
    told = [
        {
            "title": STEPS.get(one["step"], one["step"]),
            "at": one["at"],
            "state": "refused" if one["step"] in {"refused", "mail_undeliverable"} else "done",
        }
        for one in found["timeline"]
    ]
    if found["state"] in {"open", "identity_check"}:
        told.append({"title": "Réponse", "state": "now" if told else "waiting"})
    return told
