"""What consultations refuses, by name."""

from chassis.errors import ConflictError, ForbiddenError, InvalidInputError


class NotADraftError(ConflictError):
    """It was published: its words are what members answered to."""

    slug = "not-a-draft"
    title = "Cette consultation n'est plus un brouillon"


class NotOpenError(ConflictError):
    """It is a draft, closed or cancelled, or its time is over."""

    slug = "consultation-not-open"
    title = "Cette consultation n'est pas ouverte"


class ClosingTimeError(InvalidInputError):
    """A consultation closes in the future, and within a year."""

    slug = "wrong-closing-time"
    title = "Date de clôture incorrecte"


class LinkMismatchError(InvalidInputError):
    """A link belongs to the kind `public_link`, and only there."""

    slug = "link-mismatch"
    title = "Le lien ne correspond pas au type de consultation"


class UnknownCommunityError(InvalidInputError):
    """One of the communities does not exist."""

    slug = "unknown-community"
    title = "Communauté inconnue"


class CompanyNeededError(InvalidInputError):
    """The caller has several companies and did not say for which one."""

    slug = "company-needed"
    title = "Précisez l'entreprise"


class NotAttachedError(ForbiddenError):
    """The caller does not act for that company, whether or not it exists."""

    slug = "not-attached"
    title = "Vous n'êtes pas rattaché à cette entreprise"


class NotAMemberError(ForbiddenError):
    """The caller is a member, for that company, of none of the communities."""

    slug = "not-a-member"
    title = "Réservé aux membres des communautés de la consultation"


class OwnConsultationError(ConflictError):
    """A company does not reply to itself."""

    slug = "own-consultation"
    title = "C'est une consultation de votre entreprise"


class RepliesElsewhereError(ConflictError):
    """Replies to a public link are taken on the buyer's own platform."""

    slug = "replies-elsewhere"
    title = "Les réponses sont reçues ailleurs"


class AlreadyRepliedError(ConflictError):
    """One live reply per company."""

    slug = "already-replied"
    title = "Votre entreprise a déjà répondu"


class AlreadyWithdrawnError(ConflictError):
    """The reply was taken back before."""

    slug = "already-withdrawn"
    title = "Cette réponse est déjà retirée"


class NotTheAuthorError(ForbiddenError):
    """A reply is taken back by its author or by an administrator of its company."""

    slug = "not-the-author"
    title = "Seul l'auteur ou un administrateur de l'entreprise peut retirer cette réponse"
