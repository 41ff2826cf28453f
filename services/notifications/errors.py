"""What notifications refuses, by name."""

from chassis.errors import InvalidInputError


class NotAMemberError(InvalidInputError):
    """A newsletter is for members: nobody can subscribe to that of another community."""

    slug = "not-a-member"
    title = "Vous n'êtes pas membre de cette communauté"
