"""What the directory refuses, by name."""

from http import HTTPStatus

from chassis.errors import ConflictError, ForbiddenError, InvalidInputError, ProblemError


class NotAnImageError(ProblemError):
    """The body is not a JPEG, PNG or WebP picture, whatever its content type says."""

    slug = "not-an-image"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    title = "Ce fichier n'est pas une image acceptée"


class ImageTooLargeError(ProblemError):
    """The picture has more pixels than the service is ready to decode."""

    slug = "image-too-large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    title = "Image trop grande"


class NotAttachedError(ForbiddenError):
    """The caller does not act for this company; says nothing about whether it exists."""

    slug = "not-attached"
    title = "Vous n'êtes pas rattaché à cette entreprise"


class NotAdministratorError(ForbiddenError):
    """Only an administrator of the company may do this."""

    slug = "not-administrator"
    title = "Réservé aux administrateurs de l'entreprise"


class OwnerStaysError(ConflictError):
    """The owner of a company sheet can only leave by themself; another one then takes over."""

    slug = "owner-stays"
    title = "Le responsable de la fiche ne peut pas être retiré"


class VersionRequiredError(ProblemError):
    """`If-Match` is missing: the caller must say which version was edited."""

    slug = "version-required"
    status = HTTPStatus.PRECONDITION_REQUIRED
    title = "Version attendue"


class VersionConflictError(ProblemError):
    """Somebody else changed the sheet since the caller read it."""

    slug = "version-conflict"
    status = HTTPStatus.PRECONDITION_FAILED
    title = "La fiche a changé entre-temps"


class SlugTakenError(ConflictError):
    """Another community has this address."""

    slug = "slug-taken"
    title = "Cette adresse de communauté est déjà prise"


class AlreadyDecidedError(ConflictError):
    """The membership request no longer waits for an answer."""

    slug = "already-decided"
    title = "Cette demande a déjà reçu une réponse"


class ReasonNeededError(InvalidInputError):
    """A refusal says why."""

    slug = "reason-needed"
    title = "Le motif du refus est obligatoire"


class UnknownPlaceError(InvalidInputError):
    """The distance search needs a commune whose position is known."""

    slug = "unknown-place"
    title = "Lieu inconnu"
