"""PostgreSQL and RabbitMQ, wherever they are: found or started, in one fixed order.

1. `CCIB_POSTGRES_URL`, `CCIB_AMQP_URL` (with `CCIB_RABBITMQ_MANAGEMENT_URL`): these servers.
2. A reachable Docker engine: containers of pinned versions.
3. Server binaries on the machine: private instances under the given folder.
4. root on Debian or Ubuntu: their packages are installed, then 3.

Each server is looked for by itself: one may be given and the other started.

    with servers(Path(".local/test"), durable=False) as backing:
        backing.postgres_url, backing.amqp_url, backing.management_url
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx2

from chassis.trust import authorities
from deploy.local import binaries, containers, private_postgres, private_rabbitmq, processes
from deploy.local.binaries import PrivateServer
from deploy.local.errors import DirectoryInUse, MissingRight, NoServer, ServerUnreachable

Say = Callable[[str], None]

FOUR_WAYS = """{name}: not found. Four ways to give it:
  1. name a server: CCIB_POSTGRES_URL=postgresql://user:password@host/postgres and
     CCIB_AMQP_URL=amqp://user:password@host/ with
     CCIB_RABBITMQ_MANAGEMENT_URL=http://user:password@host:15672
  2. start Docker
  3. install the server's binaries (PostgreSQL 15 or later, RabbitMQ 3.10 or later)
  4. run as root on Debian or Ubuntu, where they are installed for you"""


@dataclass(frozen=True, kw_only=True)
class Servers:
    """The two servers, with the rights of their administrators."""

    postgres_url: str
    """A superuser, or a role that may create databases and roles; database `postgres`."""
    amqp_url: str
    """An administrator, in the virtual host `/`."""
    management_url: str
    """RabbitMQ's management API, user and password included, without a path."""
    how: tuple[str, ...]
    """What was taken, a sentence per server, for people."""
    private: tuple[PrivateServer, ...] = ()
    """Those that we started from binaries: for supervisors, and for tests that kill them."""


@contextmanager
def servers(
    directory: Path, *, durable: bool = True, say: Say = lambda _: None, broker_settings: str = ""
) -> Iterator[Servers]:
    """Find or start both servers; stop what was started when the block ends.

    `directory` keeps their data and logs, and belongs to one process at a time. `durable=False`
    is for tests: fsync off, nothing is kept, and RabbitMQ is killed at the end (its orderly stop
    takes 6 s). `broker_settings` are more lines for the configuration of a RabbitMQ that is started
    from binaries. Call it from a thread that lives as long as the servers should (see
    `processes.spawn`).

    Raises the errors of `deploy.local.errors`, each with one sentence to show.
    """
    with claim(directory, say=say):
        if durable:
            with find(directory, say=say, broker_settings=broker_settings) as found:
                yield found
            return
        remove_data(directory)  # of an earlier run that was killed
        try:
            with find(directory, durable=False, say=say, broker_settings=broker_settings) as found:
                yield found
        finally:
            remove_data(directory)


@contextmanager
def claim(directory: Path, *, say: Say = lambda _: None) -> Iterator[None]:
    """Have the folder to ourselves, and free of what an earlier run may have left running.

    Raises DirectoryInUse. The kernel releases the lock with the process, however it ends.
    """
    directory = directory.absolute()
    (directory / "logs").mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise DirectoryInUse(
                f"{directory} is in use by process {lock.read().strip() or '?'}: "
                "stop that one first"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        if stopped := processes.stop_leftovers(owner=directory):
            say(f"stopped what an earlier run left behind: {', '.join(stopped)}")
        yield


def remove_data(directory: Path) -> None:
    """Remove the data of the servers we started there; the caller has claimed the folder."""
    data = directory.absolute() / "servers"
    if data.is_symlink():
        shutil.rmtree(data.resolve(), ignore_errors=True)
        data.unlink()
    shutil.rmtree(data, ignore_errors=True)
    containers.remove_volumes(directory)


@contextmanager
def find(
    directory: Path,
    *,
    durable: bool = True,
    say: Say = lambda _: None,
    meanwhile: Callable[[str], None] = lambda _: None,
    broker_settings: str = "",
) -> Iterator[Servers]:
    """`servers`, in a folder that the caller has claimed.

    `meanwhile` is called with PostgreSQL's URL as soon as it answers: RabbitMQ takes longer.
    """
    with ExitStack() as stack:
        yield _find(
            directory=directory.absolute(),
            durable=durable,
            say=say,
            meanwhile=meanwhile,
            broker_settings=broker_settings,
            stack=stack,
        )


def _find(
    *,
    directory: Path,
    durable: bool,
    say: Say,
    meanwhile: Callable[[str], None],
    broker_settings: str,
    stack: ExitStack,
) -> Servers:
    postgres_url = os.environ.get("CCIB_POSTGRES_URL", "")
    amqp_url = os.environ.get("CCIB_AMQP_URL", "")
    management_url = ""
    how: list[str] = []
    private: list[PrivateServer] = []
    if postgres_url:
        check_postgres(postgres_url)
        how.append(f"PostgreSQL: given, {_without_secret(postgres_url)}")
    if amqp_url:
        management_url = check_rabbitmq(
            amqp_url=amqp_url, management_url=os.environ.get("CCIB_RABBITMQ_MANAGEMENT_URL", "")
        )
        how.append(f"RabbitMQ: given, {_without_secret(amqp_url)}")

    docker = not (postgres_url and amqp_url) and containers.engine_answers()
    if docker and not postgres_url:
        postgres_url = stack.enter_context(containers.postgres(directory))
        how.append(f"PostgreSQL: container {containers.POSTGRES_IMAGE}")
    if docker and not amqp_url:
        amqp_url, management_url = stack.enter_context(containers.rabbitmq(directory))
        how.append(f"RabbitMQ: container {containers.RABBITMQ_IMAGE}")

    wanted_postgres, wanted_rabbitmq = not postgres_url, not amqp_url
    if wanted_postgres or wanted_rabbitmq:
        _install_missing(postgres=wanted_postgres, rabbitmq=wanted_rabbitmq, say=say)
        folder = binaries.place(directory)
        if folder != directory / "servers":
            say(f"server data are kept in {folder}: nobody but root can enter {directory}")
        stack.callback(_stop_together, private)
        if wanted_rabbitmq:  # the slow one first
            server, amqp_url, management_url, word = private_rabbitmq.server(
                directory=directory, folder=folder, durable=durable, more=broker_settings
            )
            private.append(server)
            how.append(word)
            server.start()
        if wanted_postgres:
            server, postgres_url, word = private_postgres.server(
                directory=directory, folder=folder, durable=durable
            )
            private.append(server)
            how.append(word)
            server.start()
        say(f"starting {' and '.join(server.name for server in private)}")
    for server in private:
        if server.name == "postgres":
            server.wait()
    meanwhile(postgres_url)
    for server in private:
        server.wait()
    return Servers(
        postgres_url=postgres_url,
        amqp_url=amqp_url,
        management_url=management_url,
        how=tuple(sorted(how)),
        private=tuple(private),
    )


def _stop_together(private: list[PrivateServer]) -> None:
    for server in private:
        server.ask_to_stop()
    for server in private:
        server.stop()


def _install_missing(*, postgres: bool, rabbitmq: bool, say: Say) -> None:
    """The fourth way; raises NoServer with all four when it is not open."""
    packages = {
        "postgresql": postgres and private_postgres.binaries() is None,
        "rabbitmq-server": rabbitmq and private_rabbitmq.script() is None,
    }
    missing = [name for name, absent in packages.items() if absent]
    if not missing:
        return
    names = {"postgresql": "PostgreSQL", "rabbitmq-server": "RabbitMQ"}
    plural = " and ".join(names[name] for name in missing)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise NoServer(FOUR_WAYS.format(name=plural))
    say(f"installing {plural} with apt-get (a minute or two)")
    with _no_system_service():
        problem = apt_install(*missing)
    if problem or (packages["postgresql"] and private_postgres.binaries() is None):
        raise NoServer(f"{problem}\n{FOUR_WAYS.format(name=plural)}".lstrip())


def apt_install(*packages: str) -> str:
    """Install Debian packages; returns why that was not possible, or nothing."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return "that takes root on Debian or Ubuntu"
    problem = _apt_get("install", *packages)
    if problem:
        _apt_get("update")
        problem = _apt_get("install", *packages)
    return problem


def _apt_get(command: str, *packages: str) -> str:
    """Run apt-get; returns the end of its output when it failed."""
    done = subprocess.run(
        ["apt-get", command, "--yes", "--quiet", "--no-install-recommends", *packages]
        if packages
        else ["apt-get", command, "--quiet"],
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return "\n".join((done.stdout + done.stderr).splitlines()[-5:]) if done.returncode else ""


@contextmanager
def _no_system_service() -> Iterator[None]:
    """Debian starts a service with its package: we want the binaries, not the machine's ports."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)


def check_postgres(url: str) -> None:
    """Raises ServerUnreachable or MissingRight, in one sentence."""

    async def rights() -> bool:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return bool(
                await connection.fetchval(
                    "select rolsuper or (rolcreatedb and rolcreaterole)"
                    " from pg_roles where rolname = current_user"
                )
            )
        finally:
            await connection.close()

    try:
        enough = binaries.run(rights())
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError) as error:
        raise ServerUnreachable(
            f"PostgreSQL of CCIB_POSTGRES_URL ({_without_secret(url)}) cannot be used: {error}"
        ) from error
    if not enough:
        raise MissingRight(
            f"{urlsplit(url).username} may not create databases and roles in the PostgreSQL of "
            "CCIB_POSTGRES_URL: give a superuser, or a role with CREATEDB and CREATEROLE"
        )


def check_rabbitmq(*, amqp_url: str, management_url: str) -> str:
    """The management API that belongs to the broker; raises like `check_postgres`."""
    parts = urlsplit(amqp_url)
    user = f"{parts.username}:{parts.password}@" if parts.username else ""
    management_url = (management_url or f"http://{user}{parts.hostname}:15672").rstrip("/")
    if "@" not in management_url:
        management_url = management_url.replace("://", f"://{user}", 1)
    try:
        answer = httpx2.get(f"{management_url}/api/whoami", timeout=10, verify=authorities())
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ServerUnreachable(
            f"RabbitMQ's management API at {_without_secret(management_url)} "
            f"(CCIB_RABBITMQ_MANAGEMENT_URL) does not answer: {error}"
        ) from error
    if answer.status_code == 401:
        raise ServerUnreachable(
            f"RabbitMQ at {_without_secret(management_url)} refuses the user or the password"
        )
    tags = answer.json().get("tags", []) if answer.status_code == 200 else []
    if "administrator" not in tags:
        raise MissingRight(
            f"{parts.username} is not an administrator of the RabbitMQ of CCIB_AMQP_URL: "
            "users and virtual hosts cannot be created"
        )
    return management_url


def _without_secret(url: str) -> str:
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.username or ''}@{parts.hostname}{port}{parts.path}"
