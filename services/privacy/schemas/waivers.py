"""Ending steps that nobody will prove."""

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, StringConstraints

from chassis.http import Input, Output


class WaiverReason(StrEnum):
    """Why nobody will prove a step. Each has a meaning in law, told to the person in the certificate."""

    SYSTEM_GONE = "system_gone"
    NOTHING_SENT = "nothing_sent"
    PROVEN_OUTSIDE = "proven_outside"
    OWN_CONTROLLER = "own_controller"
    LEGAL_CLAIMS = "legal_claims"
    DISPROPORTIONATE = "disproportionate"


MEANING = {
    WaiverReason.SYSTEM_GONE: "Le système n'existe plus et ses données n'ont pas été reprises "
    "(RGPD art. 19 : communication impossible).",
    WaiverReason.NOTHING_SENT: "Aucune donnée de la personne n'a été transmise à ce système : il n'est "
    "pas un destinataire (RGPD art. 4(9) et 19).",
    WaiverReason.PROVEN_OUTSIDE: "L'effacement a été attesté hors de la plateforme, par une pièce au "
    "dossier (RGPD art. 5(2)).",
    WaiverReason.OWN_CONTROLLER: "Le destinataire est lui-même responsable du traitement ; il a été "
    "informé de la demande, et répond de ses propres données (RGPD art. 4(7), 17(2) et 19).",
    WaiverReason.LEGAL_CLAIMS: "Les données sont nécessaires à la constatation, à l'exercice ou à la "
    "défense de droits en justice (RGPD art. 17(3)(e)).",
    WaiverReason.DISPROPORTIONATE: "Obtenir la preuve exigerait des efforts disproportionnés "
    "(RGPD art. 19).",
}
"""What the certificate says, word for word."""


class NewWaiver(Input):
    """`reference`: the number of a paper in the files, never a text about somebody."""

    reason: WaiverReason
    reference: (
        Annotated[str, StringConstraints(pattern=r"^[A-Z0-9](?:[A-Z0-9/.-]{0,38}[A-Z0-9])?$")]
        | None
    ) = None


class WaiverView(Output):
    """Why a step was ended without proof, and when."""

    reason: WaiverReason
    reference: str | None = None
    waived_at: AwareDatetime


class WaivedSteps(Output):
    """How many open steps were ended at once."""

    participant: str
    waived: int
