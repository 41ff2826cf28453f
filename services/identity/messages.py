"""The mails of identity, in French: subject and text."""

from typing import NamedTuple

from services.identity.models import LinkPurpose


class Message(NamedTuple):
    """A mail without its addressee."""

    subject: str
    text: str


_SIGNATURE = "\n\nL'équipe CCI Business\n"


def message_for(purpose: LinkPurpose, *, public_url: str, token: str) -> Message:
    """What to write for a purpose; `token` is in the link and nowhere else."""
    match purpose:
        case LinkPurpose.VERIFY:
            return Message(
                "Confirmez votre adresse",
                "Bonjour,\n\nPour activer votre compte CCI Business, ouvrez ce lien dans les 48 heures :"
                f"\n\n{public_url}/inscription/confirmation?token={token}\n\n"
                "Si vous n'avez rien demandé, ignorez ce message : le compte restera inactif."
                + _SIGNATURE,
            )
        case LinkPurpose.RESET:
            return Message(
                "Choisissez un nouveau mot de passe",
                "Bonjour,\n\nPour choisir un nouveau mot de passe, ouvrez ce lien dans l'heure :"
                f"\n\n{public_url}/mot-de-passe/nouveau?token={token}\n\n"
                "Si vous n'avez rien demandé, ignorez ce message : rien ne change." + _SIGNATURE,
            )
        case LinkPurpose.ALREADY_KNOWN:
            return Message(
                "Vous avez déjà un compte",
                "Bonjour,\n\nQuelqu'un, peut-être vous, vient de s'inscrire avec cette adresse, "
                "qui a déjà un compte.\n\n"
                f"Se connecter : {public_url}/connexion\n"
                f"Mot de passe oublié : {public_url}/mot-de-passe/oubli\n\n"
                "Si ce n'est pas vous, vous n'avez rien à faire." + _SIGNATURE,
            )
