"""What can go wrong on the way up: one clear sentence each, and an exit code of its own."""


class StackError(Exception):
    """`str()` is the sentence to show; `exit_code` tells scripts which case it is."""

    exit_code = 1


class NoServer(StackError):
    """None of the four ways to PostgreSQL and RabbitMQ works on this machine."""

    exit_code = 10


class DirectoryInUse(StackError):
    """Another process runs servers out of the same folder."""

    exit_code = 11


class ServerFailed(StackError):
    """A server that we started died, or did not answer in time."""

    exit_code = 12


class ServerUnreachable(StackError):
    """A server given by its URL does not answer, or refuses the password."""

    exit_code = 13


class MissingRight(StackError):
    """The user given for a server may not create databases, roles, users or virtual hosts."""

    exit_code = 14


class PortTaken(StackError):
    """A port people were promised is in use, or no port at all."""

    exit_code = 15


class ChildFailed(StackError):
    """A process of the stack died before it was ready, or was not ready in time."""

    exit_code = 16


class MigrationFailed(StackError):
    """A service's migrations failed."""

    exit_code = 17


class ProvisioningFailed(StackError):
    """The broker refused a part of the topology."""

    exit_code = 18


class SeedFailed(StackError):
    """The demo data, or the demo partner, were refused."""

    exit_code = 19
