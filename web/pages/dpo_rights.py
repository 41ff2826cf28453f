"""The DPO's rights requests: by time left, each with its timeline and the answers that it may get."""

from typing import Any, Literal, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from web import words
from web.forms import Form, SentForm, blank
from web.gateway import ApiError
from web.rendering import page, to
from web.sessions import CurrentPerson, Person

router = APIRouter()

Which = Literal["a-traiter", "closes"]


class Act(NamedTuple):
    """What the DPO may do: one text, that the person reads or the file keeps."""

    title: str
    button: str
    field: str
    path: str
    label: str
    hint: str
    states: frozenset[str]


_BOTH = frozenset({"open", "identity_check"})
_OPEN = frozenset({"open"})
ACTS = {
    "reponse": Act(
        "Répondre à la demande",
        "Envoyer la réponse",
        "words",
        "answer",
        "Votre réponse",
        "La personne la lira telle que vous l'écrivez.",
        _BOTH,
    ),
    "refus": Act(
        "Refuser la demande",
        "Refuser et envoyer les motifs",
        "reasons",
        "refusal",
        "Motifs du refus",
        "La personne les lira. Le courriel ajoute ses voies de recours (RGPD, art. 12-4).",
        _BOTH,
    ),
    "prolongation": Act(
        "Prolonger le délai de deux mois",
        "Prolonger et prévenir",
        "reasons",
        "extension",
        "Pourquoi ce délai est nécessaire",
        "Une seule fois, dans le premier mois. La personne lira ce texte (RGPD, art. 12-3).",
        _OPEN,
    ),
    "doute": Act(
        "Demander une preuve d'identité",
        "Suspendre le délai et demander",
        "reason",
        "doubt",
        "Ce qui fait douter, et ce qui lèverait le doute",
        "La personne lira ce texte. Demandez le strict nécessaire (RGPD, art. 12-6).",
        _OPEN,
    ),
    "identite": Act(
        "Constater l'identité",
        "Enregistrer",
        "how",
        "identity",
        "Comment l'identité a été établie",
        "Pour le dossier : aucune copie de pièce, seulement le moyen.",
        frozenset({"identity_check"}),
    ),
}
ActName = Literal["reponse", "refus", "prolongation", "doute", "identite"]
TEMPLATES = (
    ("done", "Ce qui a été demandé est fait"),
    ("nothing_held", "La plateforme ne détient rien sur cette personne"),
    ("objection", "L'opposition est prise en compte"),
    ("restriction", "Le traitement est limité"),
)


@router.get("/demandes-de-droits")
async def rights_requests(
    request: Request, person: CurrentPerson, etat: Which = "a-traiter", suite: str = ""
) -> Response:
    """What waits, the least time left first; or what is closed, the latest first."""
    found = await person.api.get(
        "privacy/rights-requests", state="waiting" if etat == "a-traiter" else "closed", after=suite
    )
    here = f"/demandes-de-droits?etat={etat}"
    return page(
        request,
        "dpo/rights.html",
        which=etat,
        items=found["items"],
        shown=here,
        tabs=[
            ("/demandes-de-droits?etat=a-traiter", "À traiter"),
            ("/demandes-de-droits?etat=closes", "Closes"),
        ],
        more=f"{here}&suite={found['next']}" if found["next"] else "",
        first=here if suite else "",
    )


@router.get("/demandes-de-droits/{id}")
async def rights_request(request: Request, person: CurrentPerson, id: UUID) -> Response:
    found = await _request(person, id)
    return page(
        request,
        "dpo/right.html",
        one=found,
        acts={name: act for name, act in ACTS.items() if _possible(act, found)},
        steps=[
            {
                "title": words.RIGHTS_STEPS.get(event["step"], event["step"]),
                "state": "done",
                "at": event["at"],
                "text": f"Par {words.ACTORS.get(event['actor_role'], event['actor_role'])}",
            }
            for event in found["timeline"]
        ],
    )


def _possible(act: Act, found: dict[str, Any]) -> bool:
    if found["erasure_id"] and act.path in {"answer", "refusal"}:
        return False  # the erasure answers by itself
    return found["state"] in act.states and not (act.path == "extension" and found["extended"])


async def _request(person: Person, id: UUID) -> dict[str, Any]:
    """One request as the DPO sees it; nobody else comes here, be it their own."""
    if "dpo" not in person.roles:
        raise ApiError(status=403, slug="forbidden", title="Réservé")
    found: dict[str, Any] = await person.api.get(f"privacy/rights-requests/{id}")
    return found


@router.get("/demandes-de-droits/{id}/{name}")
async def act(request: Request, person: CurrentPerson, id: UUID, name: ActName) -> Response:
    return await _act_page(request, person, id, name, blank())


@router.post("/demandes-de-droits/{id}/{name}")
async def send(
    request: Request, person: CurrentPerson, id: UUID, name: ActName, form: SentForm
) -> Response:
    told = ACTS[name]
    body: dict[str, Any] = {told.field: form.value("text") or None}
    if name == "reponse":
        form.require(template="Choisissez le sens de la réponse.")
        body["template"] = form.value("template")
        if form.value("template") == "done":
            form.require(text="Dites à la personne ce qui a été fait.")
    else:
        form.require(text="Écrivez ce texte.")
    if not form.failed:
        try:
            await person.api.post(f"privacy/rights-requests/{id}/{told.path}", body)
        except ApiError as refused:
            if told.field in refused.errors:
                form.fail("text", refused.errors.pop(told.field))
            form.refuse(refused)
        else:
            return to(f"/demandes-de-droits/{id}", done="demande-traitee")
    return await _act_page(request, person, id, name, form)


async def _act_page(
    request: Request, person: Person, id: UUID, name: ActName, form: Form
) -> Response:
    found = await _request(person, id)
    if not _possible(ACTS[name], found) and not form.failed:
        return to(f"/demandes-de-droits/{id}")
    return page(
        request,
        "dpo/act.html",
        form=form,
        one=found,
        name=name,
        told=ACTS[name],
        templates=TEMPLATES,
    )
