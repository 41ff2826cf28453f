"""The mail to the DPO about a run that was stopped."""

from services.privacy.messages.erasures import Message
from services.privacy.models import RetentionRun
from services.privacy.models.retention import Cause

_CAUSES = {
    Cause.VOLUME: "elle concerne plus de personnes que d'habitude",
    Cause.CLOCK_JUMPED: "l'horloge a été changée pendant que le service tournait",
    Cause.CLOCKS_DISAGREE: "l'horloge du service et celle de la base de données ne s'accordent pas",
    Cause.CLOCK_BACKWARDS: "la dernière passe porte une date postérieure",
    Cause.LONG_SILENCE: "il n'y a pas eu de passe depuis de nombreux jours",
    Cause.RESTORED: "la base a été restaurée : elle peut avoir oublié qui a rejoint une communauté",
}


def run_held(run: RetentionRun, *, title: str, public_url: str) -> Message:
    """Names a rule, counts and a date; nobody who is concerned."""
    return Message(
        "Passe de conservation suspendue",
        f"Bonjour,\n\nLa passe du {run.day:%d/%m/%Y} de la règle « {title} » est suspendue : "
        f"{_CAUSES[Cause(run.cause or Cause.VOLUME)]}.\n\n"
        f"Avertissements à envoyer : {run.due_warnings} (au plus {run.most_warnings} d'habitude)\n"
        f"Comptes à supprimer : {run.due_erasures} (au plus {run.most_erasures} d'habitude)\n\n"
        "Rien n'a été fait. Vérifiez l'heure des serveurs, puis la règle et son plan :\n"
        f"{public_url}/api/privacy/retention/plan?rule={run.rule}&as_of={run.day}\n\n"
        "Confirmez cette passe si elle est juste ; sinon celle du lendemain la remplacera.\n"
        f"{public_url}/api/privacy/retention/runs/{run.id}\n\n"
        "CCI Business\n",
    )
