"""The second way: containers, through testcontainers.

Written for, and untried against, a real engine: the machines this was made on have none. What
can be tried without one (no engine: an answer within milliseconds) is. The libraries take half a
second to import, so they are where there is an engine.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

POSTGRES_IMAGE = "postgres:17.5-bookworm"
RABBITMQ_IMAGE = "rabbitmq:4.1.4-management"


def engine_answers() -> bool:
    """Whether a Docker engine is reachable; a client on the PATH proves nothing."""
    if not _listens(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"):
        return False
    import docker
    import docker.errors

    try:
        with closing(docker.from_env(timeout=3)) as client:
            return bool(client.ping())
    except (docker.errors.DockerException, OSError):
        return False


def _listens(address: str) -> bool:
    """Ask the socket first: the library leaves its own open when nobody listens."""
    parts = urlsplit(address)
    try:
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(parts.path)
        else:
            socket.create_connection((parts.hostname, parts.port or 2375), timeout=3).close()
    except OSError:
        return False
    return True


def volume(directory: Path, name: str) -> str:
    """Data live in a named volume: a bound folder would belong to the container's user."""
    digest = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:16]
    return f"ccib-{digest}-{name}"


def remove_volumes(directory: Path) -> None:
    if not engine_answers():
        return
    import docker
    import docker.errors

    with closing(docker.from_env(timeout=10)) as client:
        for name in ("postgres", "rabbitmq"):
            try:
                client.volumes.get(volume(directory, name)).remove()
            except docker.errors.NotFound:
                continue


@contextmanager
def postgres(directory: Path) -> Iterator[str]:
    """A superuser's URL."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    secret = _secret(directory)
    container = (
        DockerContainer(POSTGRES_IMAGE)
        .with_env("POSTGRES_PASSWORD", secret)
        .with_env("POSTGRES_INITDB_ARGS", "--locale=C.UTF-8 --encoding=UTF8")
        .with_command(
            "postgres -c max_connections=300 -c jit=off"
            " -c log_error_verbosity=terse -c log_min_error_statement=panic"
        )
        .with_exposed_ports(5432)
        .with_volume_mapping(volume(directory, "postgres"), "/var/lib/postgresql/data", "rw")
        # The image starts a first time to initialise itself: the second one counts, unless the
        # volume already holds a cluster. "listening on IPv4" is said by the real start only.
        .waiting_for(LogMessageWaitStrategy("listening on IPv4 address"))
    )
    with container:
        host, port = container.get_container_host_ip(), container.get_exposed_port(5432)
        yield f"postgresql://postgres:{secret}@{host}:{port}/postgres"


@contextmanager
def rabbitmq(directory: Path) -> Iterator[tuple[str, str]]:
    """An administrator's AMQP and management URLs."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    secret = _secret(directory)
    container = (
        DockerContainer(RABBITMQ_IMAGE)
        .with_env("RABBITMQ_DEFAULT_USER", "admin")
        .with_env("RABBITMQ_DEFAULT_PASS", secret)
        # A node's data are found again under its own name only.
        .with_kwargs(hostname="ccib")
        .with_exposed_ports(5672, 15672)
        .with_volume_mapping(volume(directory, "rabbitmq"), "/var/lib/rabbitmq", "rw")
        .waiting_for(LogMessageWaitStrategy("Server startup complete"))
    )
    with container:
        host = container.get_container_host_ip()
        yield (
            f"amqp://admin:{secret}@{host}:{container.get_exposed_port(5672)}/",
            f"http://admin:{secret}@{host}:{container.get_exposed_port(15672)}",
        )


def _secret(directory: Path) -> str:
    path = directory / "containers.password"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(18))
    return path.read_text()
