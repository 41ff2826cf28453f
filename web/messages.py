"""What a page says after something was done, by the word in its address (`?fait=`)."""

DONE = {
    "deconnexion": "Vous êtes déconnecté.",
    "confirmation": "Votre adresse est confirmée. Vous pouvez vous connecter.",
    "mot-de-passe": (
        "Votre nouveau mot de passe est enregistré, et toutes vos sessions sont fermées. "
        "Connectez-vous avec le nouveau."
    ),
    "suivi-oublie": "Plus rien sur cet appareil ne mène à votre effacement. Il continue.",
    "profil": "Votre profil est enregistré.",
    "entreprise": "La fiche de votre entreprise est enregistrée.",
    "fiche": "La fiche est à jour.",
    "rattachement": "Votre demande de rattachement est envoyée.",
    "collegue": "C'est fait : cette personne agit pour l'entreprise.",
    "collegue-retire": "C'est fait : cette personne n'agit pas pour l'entreprise.",
}
