"""The mail to the DPO about steps that stay open."""

from collections.abc import Sequence

from services.privacy.actions.escalations import Overdue
from services.privacy.messages.erasures import Message
from services.privacy.models import LEVELS

_LEVELS = {
    1: "un quart du délai écoulé",
    2: "la moitié du délai écoulée",
    3: "trois quarts du délai écoulés",
    LEVELS: "délai dépassé",
}


def steps_stay_open(overdue: Sequence[Overdue], *, public_url: str) -> Message:
    """Names systems, counts and dates; nobody who is to be forgotten."""
    late = sum(one.steps for one in overdue if one.level == LEVELS)
    lines = "\n".join(
        f"- {one.participant} : {_LEVELS[one.level]}, {one.steps} "
        f"étape{'s' if one.steps > 1 else ''}, première échéance le "
        f"{one.due_by:%d/%m/%Y à %H:%M} UTC"
        for one in overdue
    )
    return Message(
        "Effacements en retard" if late else "Effacements sans réponse",
        "Bonjour,\n\nDes systèmes n'ont pas encore prouvé l'effacement qui leur a été demandé :\n\n"
        f"{lines}\n\n"
        "Ils sont relancés sans cesse ; leur silence n'est jamais pris pour un accord. Les étapes "
        f"ouvertes sont dans {public_url}/api/privacy/escalations, les réponses refusées dans "
        f"{public_url}/api/privacy/refusals.\n\n"
        "Si un système ne répondra plus, vous pouvez mettre fin à son étape, avec un motif : le "
        "certificat dira que l'effacement n'y est pas prouvé.\n\n"
        "CCI Business\n",
    )
