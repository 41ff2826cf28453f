"""Private PostgreSQL and RabbitMQ out of the binaries on the machine, never the system's own.

Both listen on 127.0.0.1 only, keep everything in one folder, and run as an ordinary user when
root starts them (both refuse root, or should).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx2

from chassis.trust import authorities
from deploy.local import processes
from deploy.local.errors import ServerFailed

START_SECONDS = 90.0

POSTGRES_SETTINGS = """
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

RABBITMQ_SETTINGS = """
listeners.tcp.default = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
default_user = admin
default_pass = {password}
disk_free_limit.absolute = 50MB
log.file = false
log.console = true
log.console.level = info
# The default of 512 MiB is reserved per node for the log of all quorum queues.
raft.wal_max_size_bytes = 67108864
"""

ELECT = (
    "[catch ra:trigger_election(amqqueue:get_pid(Q)) "
    "|| Q <- rabbit_amqqueue:list(), amqqueue:is_quorum(Q)]."
)
"""A queue whose only member was killed may come back as a follower of nobody, for good: RabbitMQ 3.10,
https://github.com/rabbitmq/rabbitmq-server/issues/10070. One that has a leader answers ok and stays as it is.
"""


@dataclass(kw_only=True)
class PrivateServer:
    """One server of ours. Its ports and data outlive `kill()`, so that `start()` brings it back."""

    name: str
    log: Path
    stop_signal: signal.Signals
    launch: Callable[[], subprocess.Popen[bytes]]
    answers: Callable[[], bool]
    helpers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start without waiting."""
        self.process = self.launch()

    def wait(self) -> None:
        """Wait until it answers; raises ServerFailed with the end of its log."""
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if not self.alive:
                raise ServerFailed(f"{self.name} stopped while starting:\n{self._log()}")
            if time.monotonic() > deadline:
                raise ServerFailed(
                    f"{self.name} did not answer within {START_SECONDS:.0f} s:\n{self._log()}"
                )
            time.sleep(0.1)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """Its process, and the number of its process group."""
        if self.process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self.process.pid

    def kill(self) -> None:
        """SIGKILL, to the whole group, as a power cut would."""
        if self.process:
            processes.kill(self.process)

    def ask_to_stop(self) -> None:
        """Send the stop signal without waiting."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)

    def stop(self) -> None:
        """Stop in good order, then what it needed."""
        if self.process:
            processes.stop([self.process], how=self.stop_signal, grace=30)
            processes.kill(self.process)  # what a killed node may have left of its group
        processes.stop(self.helpers)
        for helper in self.helpers:
            processes.kill(helper)  # what a shell has left

    def _log(self) -> str:
        return f"{processes.tail(self.log)}\n(whole log: {self.log})"


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine from synchronous code, also where a loop is already running."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def postgres_bin(*, data: Path | None = None) -> Path | None:
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


def rabbitmq_server() -> Path | None:
    """The server's own script; Debian's wrapper in /usr/sbin insists on its system user."""
    if not shutil.which("erl"):
        return None
    for candidate in (
        "/usr/lib/rabbitmq/bin/rabbitmq-server",
        "/opt/homebrew/sbin/rabbitmq-server",
        "/usr/local/sbin/rabbitmq-server",
        shutil.which("rabbitmq-server"),
    ):
        if candidate and Path(candidate).exists():
            return Path(candidate)
    return None


def place(directory: Path) -> Path:
    """Where the servers' data lie: `directory/servers`, owned by the user who runs them.

    When root owns the checkout under a folder that others cannot enter (`/root/…`), an
    unprivileged server could not reach its data there: `servers` then is a link to a folder of
    `/var/tmp` (which survives reboots) named after `directory`.
    """
    wanted = directory / "servers"
    if wanted.is_symlink() or not _must_drop():
        target = wanted.resolve()
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _must_drop():
            _own(target)
        return target
    wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
    _own(wanted)
    if _reachable(wanted):
        return wanted
    wanted.rmdir()
    digest = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:16]
    elsewhere = Path("/var/tmp") / f"ccib-{digest}"  # noqa: S108 - made by root, for one user
    if elsewhere.is_symlink() or elsewhere.exists():
        # Nothing links to it any more (the folder was removed by hand): stale, and perhaps not
        # ours. Root may remove it; nobody else can have put a link in its place unnoticed.
        elsewhere.unlink() if elsewhere.is_symlink() else shutil.rmtree(elsewhere)
    elsewhere.mkdir(mode=0o700)
    _own(elsewhere)
    wanted.symlink_to(elsewhere)
    return elsewhere


def password(folder: Path, name: str) -> str:
    """A random password, made once and kept beside the data it opens."""
    path = folder / "passwords.json"
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    if name not in known:
        known[name] = secrets.token_urlsafe(18)
        path.touch(mode=0o600)
        path.write_text(json.dumps(known))
    return known[name]


def postgres(*, directory: Path, folder: Path, durable: bool) -> tuple[PrivateServer, str, str]:
    """A server that is not started yet, its superuser's URL, and a word on what it is."""
    data = folder / "postgres"
    binaries = postgres_bin(data=data)
    if binaries is None:
        raise ServerFailed("PostgreSQL's binaries have gone")
    secret = password(folder, "postgres")
    (port,) = processes.free_ports(1)
    log = directory / "logs" / "postgres.log"

    def launch() -> subprocess.Popen[bytes]:
        if not data.exists():
            _initdb(binaries=binaries, data=data, secret=secret, durable=durable)
        settings = data / "ccib.conf"
        settings.write_text(POSTGRES_SETTINGS.format(port=port, durable="on" if durable else "off"))
        _forget_dead_postmaster(data)
        return processes.spawn(
            name="postgres",
            command=[binaries / "postgres", "-D", data],
            owner=directory,
            log=log,
            environment=_environment(),
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

    server = PrivateServer(
        name="postgres",
        log=log,
        stop_signal=signal.SIGINT,
        launch=launch,
        answers=lambda: bool(run(connects())),
    )
    return server, url, f"PostgreSQL: private instance of {binaries} on port {port}"


def rabbitmq(
    *, directory: Path, folder: Path, durable: bool, more: str = ""
) -> tuple[PrivateServer, str, str, str]:
    """A node that is not started yet, its AMQP and management URLs, and a word on what it is.

    `more`: lines for its configuration.
    """
    script = rabbitmq_server()
    if script is None:
        raise ServerFailed("RabbitMQ's binaries have gone")
    secret = password(folder, "rabbitmq")
    amqp, management, distribution, epmd_port = processes.free_ports(4)
    home = folder / "rabbitmq"
    home.mkdir(mode=0o700, exist_ok=True)
    config = home / "rabbitmq.conf"
    settings = RABBITMQ_SETTINGS.format(amqp=amqp, management=management, password=secret)
    config.write_text(settings + more)
    plugins = home / "enabled_plugins"
    plugins.write_text("[rabbitmq_management].")
    if _must_drop():
        for path in (home, config, plugins):
            _own(path)
    config.chmod(0o600)
    environment = _environment() | {
        "HOME": str(home),
        "RABBITMQ_NODENAME": "ccib@localhost",
        "RABBITMQ_MNESIA_BASE": str(home),
        "RABBITMQ_LOG_BASE": str(home),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_CONFIG_FILE": str(config),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "absent.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
        "RABBITMQ_CONF_ENV_FILE": str(home / "absent-env.conf"),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_PID_FILE": str(home / "pid"),
        # Idle schedulers sleep instead of spinning: the processors are wanted by everybody else.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none"
        ),
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        # The script then becomes the Erlang machine: no shell in between that a signal must pass.
        "RUNNING_UNDER_SYSTEMD": "true",
    }
    log = directory / "logs" / "rabbitmq.log"
    helpers: list[subprocess.Popen[bytes]] = []
    control = script.with_name("rabbitmqctl")
    elect = f'"$0" wait --quiet --timeout {START_SECONDS:.0f} "$1" && exec "$0" eval "$2"'

    def spawn(name: str, command: list[str | Path]) -> subprocess.Popen[bytes]:
        return processes.spawn(
            name=name,
            command=command,
            owner=directory,
            log=log,
            environment=environment,
            folder=home,
            unprivileged=True,
        )

    def launch() -> subprocess.Popen[bytes]:
        # Our own port mapper: the one that Erlang would start detaches itself and stays.
        for late in helpers[1:]:
            processes.kill(late)
        if not helpers or helpers[0].poll() is not None:
            helpers[:] = [spawn("epmd", [_epmd(), "-port", str(epmd_port)])]
        pid_file = home / "pid"
        pid_file.unlink(missing_ok=True)
        if (home / "ccib@localhost").exists():  # it was here before, and may have been killed
            helpers[1:] = [spawn("rabbitmqctl", ["/bin/sh", "-c", elect, control, pid_file, ELECT])]
        return spawn("rabbitmq", [script])

    base = f"http://admin:{secret}@127.0.0.1:{management}"

    def answers() -> bool:
        try:
            answer = httpx2.get(
                f"{base}/api/health/checks/port-listener/{amqp}", timeout=5, verify=authorities()
            )
        except httpx2.HTTPError:
            return False
        return answer.status_code == 200

    server = PrivateServer(
        name="rabbitmq",
        log=log,
        stop_signal=signal.SIGTERM if durable else signal.SIGKILL,
        launch=launch,
        answers=answers,
        helpers=helpers,
    )
    url = f"amqp://admin:{secret}@127.0.0.1:{amqp}/"
    return server, url, base, f"RabbitMQ: private node of {script} on port {amqp}"


def _initdb(*, binaries: Path, data: Path, secret: str, durable: bool) -> None:
    """Make the cluster beside its place and move it there: an interrupted one is made again."""
    fresh = data.with_name("postgres.new")
    shutil.rmtree(fresh, ignore_errors=True)
    secret_file = data.with_name("postgres.password")
    secret_file.touch(mode=0o600)
    secret_file.write_text(secret)
    command: list[str] = [
        str(binaries / "initdb"),
        f"--pgdata={fresh}",
        "--username=postgres",
        f"--pwfile={secret_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        *([] if durable else ["--no-sync"]),
    ]
    if _must_drop():
        _own(secret_file)
        command = ["setpriv", *processes.drop_rights(), *command]
    done = subprocess.run(
        command, capture_output=True, text=True, env=_environment(), cwd=data.parent, check=False
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


def _epmd() -> str:
    found = shutil.which("epmd")
    if found is None:
        raise ServerFailed("Erlang's port mapper `epmd` is not on the PATH")
    return found


def _environment() -> dict[str, str]:
    """Nothing of the caller's environment may change a server (PGDATA, RABBITMQ_…, LC_…)."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}


def _must_drop() -> bool:
    return os.geteuid() == 0


def _own(path: Path) -> None:
    os.chown(path, processes.UNPRIVILEGED, processes.UNPRIVILEGED)


def _reachable(path: Path) -> bool:
    """Whether the unprivileged user can write there."""
    command = ["setpriv", *processes.drop_rights(), "test", "-w", str(path)]
    return subprocess.run(command, check=False).returncode == 0
