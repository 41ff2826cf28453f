"""What a page says after something was done, by the word in its address (`?fait=`)."""

DONE = {
    "deconnexion": "Vous êtes déconnecté.",
    "confirmation": "Votre adresse est confirmée. Vous pouvez vous connecter.",
    "mot-de-passe": (
        "Votre nouveau mot de passe est enregistré, et toutes vos sessions sont fermées. "
        "Connectez-vous avec le nouveau."
    ),
    "suivi-oublie": "Plus rien sur cet appareil ne mène à votre effacement. Il continue.",
    "notice": "Votre accord est enregistré ; vous en trouvez la preuve dans Mes données.",
    "profil": "Votre profil est enregistré.",
    "entreprise": "La fiche de votre entreprise est enregistrée.",
    "fiche": "La fiche est à jour.",
    "rattachement": "Votre demande de rattachement est envoyée.",
    "collegue": "C'est fait : cette personne agit pour l'entreprise.",
    "collegue-retire": "C'est fait : cette personne n'agit pas pour l'entreprise.",
    "brouillon": "Votre brouillon est enregistré. Personne d'autre que votre entreprise ne le voit.",
    "brouillon-supprime": "Le brouillon est supprimé.",
    "consultation-publiee": "Votre consultation est publiée : les membres la lisent et y répondent.",
    "consultation-close": "Votre consultation est close : les réponses sont ouvertes.",
    "consultation-annulee": "Votre consultation est annulée. Les réponses restent scellées.",
    "deja-fait": "C'était déjà fait. Voici où en est la consultation.",
    "reponse": "Votre réponse est déposée. Voici votre récépissé.",
    "deja-repondu": "Votre entreprise avait déjà répondu. Voici sa réponse.",
    "reponse-retiree": "La réponse est retirée, et son texte est effacé.",
    "adhesion-accordee": "L'adhésion est accordée. La personne en est informée.",
    "adhesion-refusee": "La demande est refusée. La personne lira votre motif.",
    "dispense": "La dispense est enregistrée. Le certificat la dira.",
    "demande-traitee": "C'est enregistré, et la personne en est informée.",
    "mot-de-passe-change": "Votre mot de passe est changé. Vos autres sessions sont fermées.",
    "sessions": "C'est fermé. Sur l'autre appareil, il faudra se reconnecter.",
    "communaute-quittee": (
        "Vous avez quitté la communauté. Ses animateurs ne voient plus votre profil par elle."
    ),
    "entreprise-quittee": "Vous n'agissez plus pour cette entreprise.",
    "abonnements": "Vos choix sont enregistrés.",
    "tout-refuse": "Vous ne recevrez plus que ce qui est nécessaire.",
    "copie-partie": "Cette copie n'existe plus. Demandez-en une autre.",
    "demande": "Votre demande est enregistrée. Vous en suivez les étapes ici.",
    "cookies": "Votre choix est enregistré. Nous le redemanderons dans six mois.",
    "demande-oubliee": "Plus rien sur cet appareil ne mène à votre demande. Elle suit son cours.",
}
