"""What privacy refuses, by name."""

from http import HTTPStatus

from chassis.errors import (
    ConflictError,
    InvalidInputError,
    ProblemError,
    TooManyRequestsError,
)


class ParticipantExistsError(ConflictError):
    """A participant of that name is registered already."""

    slug = "participant-exists"
    title = "Ce système est déjà enregistré"


class ParticipantLeftError(ConflictError):
    """It was removed; it can be registered again by the organisation that it belonged to."""

    slug = "participant-left"
    title = "Ce système a été retiré"


class ServiceParticipantError(ConflictError):
    """The platform's own services take part for good; their keys and passwords are deployed."""

    slug = "participant-is-a-service"
    title = "Ce système est un service de la plateforme"


class NotYetProvenError(ProblemError):
    """The certificate does not exist while one participant has not proven its part."""

    slug = "not-yet-proven"
    status = HTTPStatus.CONFLICT
    title = "L'effacement n'est pas encore prouvé partout"


class BrokerRefusedError(ProblemError):
    """The broker's administration did not do what was asked; nothing was written down."""

    slug = "broker-unavailable"
    status = HTTPStatus.BAD_GATEWAY
    title = "Le bus de messages ne répond pas comme attendu"


class LinkExpiredError(ProblemError):
    """The link of a mail was used, replaced or is too old."""

    slug = "link-expired"
    status = HTTPStatus.GONE
    title = "Ce lien n'est plus valable"


class RequestStateError(ConflictError):
    """The state of the rights request does not allow it."""

    slug = "request-state"
    title = "La demande n'est pas dans l'état qui convient"


class DeadlinePassedError(ConflictError):
    """An extension is announced inside the first month, or not at all (GDPR art. 12(3))."""

    slug = "deadline-passed"
    title = "Le délai est dépassé"


class RequestOpenError(ConflictError):
    """The person exercises this right already, and waits for the answer."""

    slug = "request-open"
    title = "Une demande de ce type est déjà en cours"


class TooManyRequestsFromHereError(TooManyRequestsError):
    """One client asked too often; it says nothing about the address that was given."""

    slug = "too-many-from-here"
    title = "Trop de demandes depuis cette connexion"


class UnknownNoticeError(InvalidInputError):
    """The version does not exist, or was replaced: nobody can agree to it any more."""

    slug = "unknown-notice"
    title = "Cette version de la notice ne peut plus être acceptée"


class AccountConsentError(ConflictError):
    """The account rests on this consent: it is withdrawn by deleting the account (N2.4)."""

    slug = "delete-the-account"
    title = "Ce consentement se retire en supprimant le compte"


class ExportRunningError(TooManyRequestsError):
    """One export of a person is made at a time; `retry_after` is in seconds."""

    slug = "export-running"
    title = "Une copie de vos données est déjà en préparation"


class TooManyExportsError(TooManyRequestsError):
    """Three exports in a day; `retry_after` is in seconds."""

    slug = "too-many-exports"
    title = "Trois copies de vos données ont déjà été demandées en un jour"


class StepEndedError(ConflictError):
    """The step is proven, or was waived otherwise; nothing was changed."""

    slug = "step-ended"
    title = "Cette étape est déjà terminée"


class ParticipantTakesPartError(ConflictError):
    """All steps of a participant are waived only once it was removed."""

    slug = "participant-takes-part"
    title = "Ce système participe encore aux effacements"


class NotAcceptableError(ProblemError):
    """None of the formats that the caller accepts is offered."""

    slug = "not-acceptable"
    status = HTTPStatus.NOT_ACCEPTABLE
    title = "Aucun des formats acceptés n'est proposé"


class RetentionInTheFutureError(InvalidInputError):
    """A run goes by a day that has begun, here and for the directory; plans may look ahead."""

    slug = "retention-in-the-future"
    title = "Une passe réelle ne peut pas anticiper"


class RetentionRunOpenError(ConflictError):
    """A rule has one run at a time."""

    slug = "retention-run-open"
    title = "Une passe de cette règle est suspendue ou en cours"


class RetentionRunNotHeldError(ConflictError):
    """Only a run that the breaker holds can be confirmed."""

    slug = "retention-run-not-held"
    title = "Cette passe n'attend pas de confirmation"
