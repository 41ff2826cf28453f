"""The DPO's erasures: by time left, each with its participants, and the end of a step without proof."""

from typing import Any, Literal
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from web import words
from web.forms import Form, SentForm, blank
from web.gateway import ApiError
from web.rendering import page, to
from web.sessions import CurrentPerson, Person

router = APIRouter()

Which = Literal["en-cours", "en-retard", "termines"]
REASONS = {
    "system_gone": "Le système n'existe plus et ses données n'ont pas été reprises (RGPD, art. 19).",
    "nothing_sent": "Aucune donnée de la personne n'a été transmise à ce système : il n'est pas un "
    "destinataire (RGPD, art. 4-9 et 19).",
    "proven_outside": "L'effacement a été attesté hors de la plateforme, par une pièce au dossier "
    "(RGPD, art. 5-2).",
    "own_controller": "Le destinataire est lui-même responsable du traitement ; il a été informé de "
    "la demande, et répond de ses propres données (RGPD, art. 4-7, 17-2 et 19).",
    "legal_claims": "Les données sont nécessaires à la constatation, à l'exercice ou à la défense de "
    "droits en justice (RGPD, art. 17-3-e).",
    "disproportionate": "Obtenir la preuve exigerait des efforts disproportionnés (RGPD, art. 19).",
}
"""What the certificate will say."""


@router.get("/effacements")
async def erasures(
    request: Request, person: CurrentPerson, etat: Which = "en-cours", suite: str = ""
) -> Response:
    """What is under way by the time left, what is late, or what is completed."""
    if etat == "en-retard":
        found = await person.api.get("privacy/escalations", after=suite)
    else:
        found = await person.api.get(
            "privacy/erasures", completed=str(etat == "termines").lower(), after=suite
        )
    refusals = await person.api.get("privacy/refusals", limit=10) if etat == "en-retard" else []
    here = f"/effacements?etat={etat}"
    return page(
        request,
        "dpo/erasures.html",
        which=etat,
        items=found["items"],
        refusals=refusals,
        shown=here,
        tabs=[
            ("/effacements?etat=en-cours", "En cours"),
            ("/effacements?etat=en-retard", "Étapes en retard"),
            ("/effacements?etat=termines", "Terminés"),
        ],
        more=f"{here}&suite={found['next']}" if found["next"] else "",
        first=here if suite else "",
    )


@router.get("/effacements/{id}")
async def erasure(request: Request, person: CurrentPerson, id: UUID) -> Response:
    """One erasure; while it is under way the page refreshes itself where scripts run."""
    found = await person.api.get(f"privacy/erasures/{id}")
    return page(
        request,
        "dpo/erasure.html",
        fragment="progress",
        one=found,
        reasons=REASONS,
        proven=sum(bool(step["outcome"]) for step in found["steps"]),
        steps=sorted(found["steps"], key=lambda step: words.place(step["participant"])),
    )


@router.get("/effacements/{id}/systemes/{name}/dispense")
async def waiver(request: Request, person: CurrentPerson, id: UUID, name: str) -> Response:
    return await _waiver_page(request, person, id, name, blank())


@router.post("/effacements/{id}/systemes/{name}/dispense")
async def waive(
    request: Request, person: CurrentPerson, id: UUID, name: str, form: SentForm
) -> Response:
    form.require(reason="Choisissez le motif que dira le certificat.")
    if not form.checked("sure"):
        form.fail("sure", "Confirmez que personne ne prouvera cet effacement.")
    if not form.failed:
        body = {"reason": form.value("reason"), "reference": form.value("reference") or None}
        try:
            await person.api.post(
                f"privacy/erasures/{id}/steps/{quote(name, safe='')}/waiver", body
            )
        except ApiError as refused:
            form.refuse(refused)
        else:
            return to(f"/effacements/{id}", done="dispense")
    return await _waiver_page(request, person, id, name, form)


async def _waiver_page(
    request: Request, person: Person, id: UUID, name: str, form: Form
) -> Response:
    found: dict[str, Any] = await person.api.get(f"privacy/erasures/{id}")
    step = next((one for one in found["steps"] if one["participant"] == name), None)
    if step is None or (step["outcome"] and not form.failed):
        return to(f"/effacements/{id}")
    return page(
        request,
        "dpo/waiver.html",
        form=form,
        one=found,
        step=step,
        reasons=list(REASONS.items()),
    )
