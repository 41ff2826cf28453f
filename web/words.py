"""What the words of the interface are called in French, where it gives a code."""

SERVICES = {
    "identity": "Compte et connexion",
    "directory": "Annuaire et communautés",
    "consultations": "Consultations",
    "notifications": "Courriels et avis",
    "privacy": "Protection des données",
}
"""In the order in which people meet them."""
BASES = {
    "consent": "Votre consentement (RGPD, art. 6-1-a)",
    "contract": "L'exécution du contrat (RGPD, art. 6-1-b)",
    "legal_obligation": "Une obligation légale (RGPD, art. 6-1-c)",
    "legitimate_interest": "Un intérêt légitime (RGPD, art. 6-1-f)",
}
FATES = {
    "delete": "Effacé",
    "shared": "Effacé, sauf si une autre personne en est responsable",
    "detach": "Reste sans vous : tout ce qui vous désigne en est retiré",
    "keep": "Gardé, pour la raison indiquée",
}
WAIVERS = {
    "system_gone": "ce système n'existe plus et ses données n'ont pas été reprises",
    "nothing_sent": "aucune de vos données ne lui a été transmise",
    "proven_outside": "l'effacement est attesté hors de la plateforme, par une pièce au dossier",
    "own_controller": "ce destinataire répond lui-même de ses données ; il a été informé",
    "legal_claims": "ces données sont nécessaires à la défense de droits en justice",
    "disproportionate": "obtenir la preuve exigerait des efforts disproportionnés",
}
RIGHTS = {
    "access": "Accès à mes données",
    "rectification": "Rectification",
    "erasure": "Effacement",
    "objection": "Opposition",
    "restriction": "Limitation du traitement",
    "portability": "Portabilité",
}
"""GDPR art. 15 to 21."""

CONSULTATION_STATES = {
    "draft": "Brouillon",
    "published": "Ouverte",
    "closed": "Close",
    "cancelled": "Annulée",
}
CONSULTATION_KINDS = {
    "sourcing": "Recherche de fournisseurs",
    "private_call": "Appel à propositions",
    "public_link": "Consultation hébergée ailleurs",
}
REPLY_STATES = {"submitted": "Déposée", "withdrawn": "Retirée"}
DECIDERS = {"animator": "un animateur de la communauté", "agent": "un conseiller de la chambre"}
ERASURE_REASONS = {
    "self_service": "Compte supprimé par la personne",
    "rights_request": "Demande d'effacement",
    "retention": "Fin de la durée de conservation",
    "canary": "Contrôle de la plateforme par un compte fictif",
}
OUTCOMES = {
    "erased": "Effacé, preuve reçue",
    "nothing_held": "Ne détenait rien, preuve reçue",
    "kept_under_hold": "Effacé, sauf ce que la loi fait conserver",
    "waived": "Dispensé de preuve",
}
RIGHTS_STATES = {
    "unconfirmed": "Lien à confirmer par la personne",
    "open": "À traiter",
    "identity_check": "Identité à vérifier",
    "answered": "Répondue",
    "refused": "Refusée",
}
RIGHTS_STEPS = {
    "received": "Demande reçue",
    "confirmed": "Lien confirmé par la personne",
    "identity_doubted": "Identité mise en doute, délai suspendu",
    "identity_checked": "Identité établie",
    "extended": "Délai prolongé de deux mois",
    "erasure_started": "Effacement lancé",
    "export_started": "Copie des données lancée",
    "processing_stopped": "Traitements arrêtés",
    "answered": "Réponse envoyée",
    "refused": "Refus envoyé",
    "erased": "Effacement terminé",
    "mail_undeliverable": "Courriel non distribué",
}
CHANNELS = {"form": "Formulaire public", "account": "Mon compte", "letter": "Courrier"}
ACTORS = {
    "person": "la personne",
    "agent": "un conseiller",
    "dpo": "le délégué à la protection des données",
    "platform": "la plateforme",
}


def participant(name: str) -> str:
    """A service by what people use it for; any other name is that of a partner system."""
    return SERVICES.get(name) or f"Système partenaire « {name} »"


def place(name: str) -> tuple[int, str]:
    """The order of services and partners in lists."""
    names = list(SERVICES)
    return (names.index(name) if name in SERVICES else len(names)), name
