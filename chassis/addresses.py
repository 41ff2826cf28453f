"""Addresses with everything that a connection needs in them: the password, and whom to trust.

A process is told an address, a password in a file, and the authority that vouches for the server. What
comes out of here is one address with all three, so that whoever opens a connection, however it does,
cannot forget the verification:

- PostgreSQL: `?sslmode=verify-full&sslrootcert=FILE`, as libpq and asyncpg write it;
- AMQP: `amqps://…?cafile=FILE`, as aiormq writes it;
- RabbitMQ's management API: `https://…?cafile=FILE`, which `chassis.topology` reads.

With an authority the connection is encrypted, and the server's certificate and its name are verified.
Nothing falls back to a plain connection.
"""

from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

CA = "cafile"
_UNVERIFIED = "no_verify_ssl"


class NoPasswordError(ValueError):
    """An address names a user, and neither it nor a file says the password."""


def with_password(url: str, file: Path) -> str:
    """The address with the password of the file, where it names a user and has none of its own.

    Raises `NoPasswordError`.
    """
    parts = urlsplit(url)
    if not parts.username or parts.password is not None:
        return url
    try:
        password = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise NoPasswordError(
            f"no password: the address has none, and {file} cannot be read ({type(error).__name__})"
        ) from None
    if not password:
        raise NoPasswordError(f"no password: the address has none, and {file} is empty")
    user, _, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{place}"))


def verified_database(url: str, ca_file: Path | None) -> str:
    """PostgreSQL's address, with verification by that authority when there is one."""
    if ca_file is None:
        return url
    return _told(url, sslmode="verify-full", sslrootcert=str(_there(ca_file)))


def verified_broker(url: str, ca_file: Path | None) -> str:
    """The broker's address, AMQP or management, with verification by that authority if there is one."""
    if ca_file is None:
        return url
    parts = urlsplit(url)
    scheme = {"amqp": "amqps", "http": "https"}.get(parts.scheme, parts.scheme)
    return _told(urlunsplit(parts._replace(scheme=scheme)), **{CA: str(_there(ca_file))})


def split_authority(url: str) -> tuple[str, Path | None]:
    """The address without its query, and the authority that it named."""
    parts = urlsplit(url)
    named = dict(parse_qsl(parts.query)).get(CA)
    return urlunsplit(parts._replace(query="")), Path(named) if named else None


def _there(ca_file: Path) -> Path:
    """At the start, not at the first connection."""
    if not ca_file.is_file():
        raise ValueError(f"{ca_file}: no such file of certificates")
    return ca_file


def _told(url: str, **more: str) -> str:
    parts = urlsplit(url)
    query = {name: value for name, value in parse_qsl(parts.query) if name != _UNVERIFIED} | more
    return urlunsplit(parts._replace(query=urlencode(query, safe="/")))
