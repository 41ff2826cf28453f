"""Errors that people and machines can act on: a stable slug, a status, a French title.

Raised anywhere, mapped to RFC 9457 `application/problem+json` in one place (`chassis.http`).
"""

from http import HTTPStatus
from typing import Any, ClassVar


class ProblemError(Exception):
    """Base of every error that a caller is meant to see.

    Subclasses set `slug` (stable, for machines), `status` and `title` (French, for people); `detail`
    is French too and says what to do. `extra` are further members of the problem document.
    """

    slug: ClassVar[str] = "internal-error"
    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    title: ClassVar[str] = "Erreur interne"
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, detail: str | None = None, **extra: Any) -> None:
        super().__init__(self.slug)
        self.detail = detail
        self.extra = extra


class NotFoundError(ProblemError):
    """It does not exist, or the caller may not know that it does."""

    slug = "not-found"
    status = HTTPStatus.NOT_FOUND
    title = "Introuvable"


class NotAuthenticatedError(ProblemError):
    """No token, or one that is expired, foreign, or of an erased account."""

    slug = "not-authenticated"
    status = HTTPStatus.UNAUTHORIZED
    title = "Authentification requise"
    headers: ClassVar[dict[str, str]] = {"WWW-Authenticate": "Bearer"}


class ForbiddenError(ProblemError):
    """The caller is known, and is not allowed."""

    slug = "forbidden"
    status = HTTPStatus.FORBIDDEN
    title = "Action non autorisée"


class ConflictError(ProblemError):
    """The state of the thing does not allow it."""

    slug = "conflict"
    status = HTTPStatus.CONFLICT
    title = "Conflit avec l'état actuel"


class InvalidInputError(ProblemError):
    """The content is well formed but wrong."""

    slug = "invalid-input"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    title = "Saisie incorrecte"


class MalformedError(ProblemError):
    """The request cannot be read at all."""

    slug = "malformed-request"
    status = HTTPStatus.BAD_REQUEST
    title = "Requête illisible"


class TooLargeError(ProblemError):
    """The body is larger than the limit stated in `max_bytes`."""

    slug = "too-large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    title = "Contenu trop volumineux"


class TooManyRequestsError(ProblemError):
    """Slow down; `retry_after` is in seconds."""

    slug = "too-many-requests"
    status = HTTPStatus.TOO_MANY_REQUESTS
    title = "Trop de tentatives"


class UnavailableError(ProblemError):
    """Something needed is not there right now; trying again later is right."""

    slug = "unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = "Service momentanément indisponible"


class ReconcilingError(UnavailableError):
    """The database is older than the ledger: it serves nobody until it has forgotten them again."""

    slug = "reconciling"
    title = "Remise à niveau en cours"

    def __init__(self) -> None:
        super().__init__(
            "Les effacements faits depuis une sauvegarde sont refaits. "
            "Réessayez dans quelques secondes.",
            retry_after=5,
        )


class SubjectErasedError(ProblemError):
    """The person was erased; nothing can be written about them any more."""

    slug = "subject-erased"
    status = HTTPStatus.GONE
    title = "Cette personne a été effacée"


class IdempotencyKeyReusedError(ProblemError):
    """The same idempotency key came with another request."""

    slug = "idempotency-key-reused"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    title = "Clé d'idempotence déjà utilisée pour une autre demande"
