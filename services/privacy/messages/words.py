"""What the words of the catalogue are called in French, for pages and documents."""

import re

SERVICES = {
    "identity": "Compte et connexion",
    "directory": "Annuaire et communautés",
    "consultations": "Consultations",
    "privacy": "Protection des données",
    "notifications": "Courriels et avis",
}
BASES = {
    "consent": "votre consentement (RGPD, art. 6-1-a)",
    "contract": "l'exécution du contrat (RGPD, art. 6-1-b)",
    "legal_obligation": "une obligation légale (RGPD, art. 6-1-c)",
    "legitimate_interest": "un intérêt légitime (RGPD, art. 6-1-f)",
}
RECIPIENTS = {
    "platform": "les personnes habilitées de la plateforme",
    "animator": "les animateurs de vos communautés",
    "cci": "la CCI de rattachement",
    "members": "les membres de vos communautés",
    "buyers": "les donneurs d'ordre concernés",
    "public": "le public",
    "partners": "les systèmes partenaires",
}
FATES = {
    "delete": "effacées avec votre compte",
    "detach": "l'enregistrement reste sans vous : tout ce qui vous concerne en est retiré",
    "shared": "effacées avec votre compte si personne d'autre n'en est responsable",
    "keep": "conservées après l'effacement",
}
_PERIODS = {"d": "jours", "h": "heures"}


def retention(rule: str) -> str:
    """A retention rule in French; one that is in French already stays as it is."""
    if rule == "account":
        return "tant que votre compte existe"
    period = re.fullmatch(r"(\d+)([dh])", rule)
    return f"{period[1]} {_PERIODS[period[2]]}" if period else rule
