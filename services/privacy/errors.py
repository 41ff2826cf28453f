"""What privacy refuses, by name."""

from http import HTTPStatus

from chassis.errors import ConflictError, ProblemError


class ParticipantExistsError(ConflictError):
    """A participant of that name is registered already."""

    slug = "participant-exists"
    title = "Ce système est déjà enregistré"


class NotYetProvenError(ProblemError):
    """The certificate does not exist while one participant has not proven its part."""

    slug = "not-yet-proven"
    status = HTTPStatus.CONFLICT
    title = "L'effacement n'est pas encore prouvé partout"


class BrokerRefusedError(ProblemError):
    """The broker's administration did not do what was asked; nothing was registered."""

    slug = "broker-unavailable"
    status = HTTPStatus.BAD_GATEWAY
    title = "Le bus de messages ne répond pas comme attendu"
