"""What identity refuses, by name."""

from http import HTTPStatus

from chassis.errors import (
    ConflictError,
    InvalidInputError,
    NotAuthenticatedError,
    ProblemError,
    TooManyRequestsError,
)


class WrongCredentialsError(NotAuthenticatedError):
    """Unknown address, wrong password, unconfirmed or locked account: all alike (N6.1)."""

    slug = "wrong-credentials"
    title = "Identifiant ou mot de passe incorrect"


class TooManyAttemptsError(TooManyRequestsError):
    """Ten failures in a row for one address; even the right password waits."""

    slug = "too-many-attempts"


class WeakPasswordError(InvalidInputError):
    """Below 50 bits (CNIL deliberation 2022-100, with throttling), or widely known."""

    slug = "weak-password"
    title = "Mot de passe trop faible"


class LinkExpiredError(ProblemError):
    """The link of a mail was used, replaced or is too old."""

    slug = "link-expired"
    status = HTTPStatus.GONE
    title = "Ce lien n'est plus valable"


class RefreshRefusedError(NotAuthenticatedError):
    """The refresh token is unknown, expired, or was used before: then its session is over."""

    slug = "refresh-refused"
    title = "Session terminée"


class BrowserSessionEndedError(NotAuthenticatedError):
    """The secret of a browser's cookie is unknown, or its time is over."""

    slug = "browser-session-ended"
    title = "Session terminée"


class AccountLockedError(ConflictError):
    """The account waits for its erasure."""

    slug = "account-locked"
    title = "Compte en cours de suppression"


class UnknownClientError(ProblemError):
    """Client authentication failed (RFC 6749, section 5.2)."""

    slug = "invalid-client"
    status = HTTPStatus.UNAUTHORIZED
    title = "Client inconnu"
