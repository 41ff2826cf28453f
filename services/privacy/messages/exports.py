"""The mail about a copy of somebody's data: that it is there, and nothing of what is in it."""

from services.privacy.messages.erasures import Message
from services.privacy.models import EXPORT_KEPT


def export_ready(*, complete: bool, public_url: str) -> Message:
    """Sent once the archive is stored. No key, no content, no link that opens it."""
    partial = (
        ""
        if complete
        else "Attention : elle n'est pas complète. Un service au moins n'a pas répondu pendant une "
        "journée ; l'archive dit lequel. Vous pouvez en demander une autre plus tard.\n\n"
    )
    return Message(
        "La copie de vos données est prête",
        "Bonjour,\n\nLa copie de vos données que vous avez demandée est prête. Connectez-vous, ouvrez "
        "« Mes données » et donnez la clé qui vous a été montrée lors de votre demande : elle seule "
        "ouvre l'archive, nous n'en avons pas de double.\n\n"
        f"{partial}"
        f"L'archive est détruite dans {EXPORT_KEPT.days} jours. Si vous n'avez rien demandé, "
        "changez votre mot de passe.\n\n"
        f"L'équipe CCI Business\n{public_url}\n",
    )
