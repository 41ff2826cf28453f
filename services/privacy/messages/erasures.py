"""The last mail to a person: it is done, and here is the proof."""

from typing import NamedTuple
from uuid import UUID


class Message(NamedTuple):
    """A mail without its addressee."""

    subject: str
    text: str


def erasure_completed(*, erasure_id: UUID, public_url: str) -> Message:
    """Sent once every participant has proven that the person is forgotten."""
    return Message(
        "Vos données sont effacées",
        "Bonjour,\n\nVotre compte CCI Business et vos données sont effacés, partout : chaque service "
        "de la plateforme et chaque système partenaire l'a confirmé.\n\n"
        f"Numéro de l'effacement : {erasure_id}\n\n"
        "Le certificat joint dit ce qui a été effacé, où et quand, et ce qui reste, pourquoi et "
        "jusqu'à quand. Il est signé et se vérifie hors ligne.\n\n"
        "Ce message est le dernier : votre adresse vient d'être détruite elle aussi.\n\n"
        f"L'équipe CCI Business\n{public_url}\n",
    )
