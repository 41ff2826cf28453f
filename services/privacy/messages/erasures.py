"""The last mail to a person: it is done, and here is the proof."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID


class Message(NamedTuple):
    """A mail without its addressee."""

    subject: str
    text: str


def erasure_completed(*, erasure_id: UUID, waived: Sequence[str], public_url: str) -> Message:
    """Sent once every participant has proven that the person is forgotten, or was let off by the DPO."""
    proven = (
        "partout : chaque service de la plateforme et chaque système partenaire l'a confirmé."
        if not waived
        else "partout où cela est prouvé. Le délégué à la protection des données a dispensé de cette "
        f"preuve : {', '.join(waived)}. Le certificat joint dit pourquoi."
    )
    return Message(
        "Vos données sont effacées",
        f"Bonjour,\n\nVotre compte CCI Business et vos données sont effacés, {proven}\n\n"
        f"Numéro de l'effacement : {erasure_id}\n\n"
        "Le certificat joint dit ce qui a été effacé, où et quand, et ce qui reste, pourquoi et "
        "jusqu'à quand. La preuve signée, jointe elle aussi et contenue dans le PDF, se vérifie hors "
        "ligne.\n\n"
        "Ce message est le dernier : votre adresse vient d'être détruite elle aussi.\n\n"
        f"L'équipe CCI Business\n{public_url}\n",
    )
