"""What notifications refuses, by name."""

from chassis.errors import InvalidInputError


class NotAMemberError(InvalidInputError):
    """A newsletter is for members: nobody can subscribe to that of another community."""

    slug = "not-a-member"
    title = "Vous n'êtes pas membre de cette communauté"


class NecessaryMessageError(InvalidInputError):
    """The message is necessary, or cannot come in that rhythm: nobody can choose about it."""

    slug = "necessary-message"
    title = "Ce choix n'est pas possible pour ce message"
