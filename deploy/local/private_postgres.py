"""A private PostgreSQL out of the binaries on the machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import asyncpg

from deploy.local import processes
from deploy.local.binaries import PrivateServer, environment, must_drop, own, password, run
from deploy.local.errors import ServerFailed

SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
# TCP only: a socket's path may not pass 107 characters, a checkout's may.
unix_socket_directories = ''
max_connections = 300
timezone = 'UTC'
jit = off
# PostgreSQL repeats the values of a refused row in its log otherwise: personal data.
log_error_verbosity = terse
log_min_error_statement = panic
# Off survives a killed server, not a power cut.
fsync = {durable}
full_page_writes = {durable}
"""


def binaries(*, data: Path | None = None) -> Path | None:
    """The folder of PostgreSQL's binaries: the version of existing data first, else the newest."""
    given = os.environ.get("CCIB_POSTGRES_BIN")
    patterns = (
        "usr/lib/postgresql/*/bin",
        "usr/pgsql-*/bin",
        "opt/homebrew/opt/postgresql*/bin",
        "usr/local/opt/postgresql*/bin",
    )
    folders = [match for pattern in patterns for match in Path("/").glob(pattern)]
    if on_path := shutil.which("initdb"):
        folders.append(Path(on_path).resolve().parent)
    if given:
        folders = [Path(given)]
    versions: dict[str, Path] = {}
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            version = subprocess.run(
                [folder / "postgres", "--version"], capture_output=True, text=True, check=False
            ).stdout.split()
            if version:
                versions.setdefault(version[2].split(".")[0], folder)
    kept = data / "PG_VERSION" if data else None
    if kept and kept.exists() and kept.read_text().strip() in versions:
        return versions[kept.read_text().strip()]
    newest = max(versions, key=lambda major: int("".join(filter(str.isdigit, major))), default=None)
    return versions[newest] if newest else None


def server(*, directory: Path, folder: Path, durable: bool) -> tuple[PrivateServer, str, str]:
    """A server that is not started yet, its superuser's URL, and a word on what it is."""
    data = folder / "postgres"
    programs = binaries(data=data)
    if programs is None:
        raise ServerFailed("PostgreSQL's binaries have gone")
    secret = password(folder, "postgres")
    (port,) = processes.free_ports(1)
    log = directory / "logs" / "postgres.log"

    def launch() -> subprocess.Popen[bytes]:
        if not data.exists():
            _initdb(programs=programs, data=data, secret=secret, durable=durable)
        settings = data / "ccib.conf"
        settings.write_text(SETTINGS.format(port=port, durable="on" if durable else "off"))
        _forget_dead_postmaster(data)
        return processes.spawn(
            name="postgres",
            command=[programs / "postgres", "-D", data],
            owner=directory,
            log=log,
            environment=environment(),
            folder=folder,
            unprivileged=True,
            death_signal=signal.SIGINT,
        )

    url = f"postgresql://postgres:{secret}@127.0.0.1:{port}/postgres"

    async def connects() -> bool:
        try:
            connection = await asyncpg.connect(url, timeout=5)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False
        await connection.close()
        return True

    found = PrivateServer(
        name="postgres",
        log=log,
        stop_signal=signal.SIGINT,
        launch=launch,
        answers=lambda: bool(run(connects())),
    )
    return found, url, f"PostgreSQL: private instance of {programs} on port {port}"


def _initdb(*, programs: Path, data: Path, secret: str, durable: bool) -> None:
    """Make the cluster beside its place and move it there: an interrupted one is made again."""
    fresh = data.with_name("postgres.new")
    shutil.rmtree(fresh, ignore_errors=True)
    secret_file = data.with_name("postgres.password")
    secret_file.touch(mode=0o600)
    secret_file.write_text(secret)
    command: list[str] = [
        str(programs / "initdb"),
        f"--pgdata={fresh}",
        "--username=postgres",
        f"--pwfile={secret_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        *([] if durable else ["--no-sync"]),
    ]
    if must_drop():
        own(secret_file)
        command = ["setpriv", *processes.drop_rights(), *command]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment(), cwd=data.parent, check=False
    )
    secret_file.unlink()
    if done.returncode:
        raise ServerFailed(f"initdb failed:\n{done.stdout}{done.stderr}")
    with (fresh / "postgresql.conf").open("a") as settings:
        settings.write("\ninclude 'ccib.conf'\n")
    fresh.rename(data)


def _forget_dead_postmaster(data: Path) -> None:
    """Remove the pid file of a server that is dead.

    PostgreSQL does so by itself, unless the number now belongs to another process of the user.
    The caller has the folder to itself, and has stopped what an earlier run left.
    """
    (data / "postmaster.pid").unlink(missing_ok=True)
