"""A private RabbitMQ out of the binaries on the machine."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import httpx2

from chassis.trust import authorities
from deploy.local import processes
from deploy.local.binaries import (
    START_SECONDS,
    PrivateServer,
    environment,
    must_drop,
    own,
    password,
)
from deploy.local.errors import ServerFailed

SETTINGS = """
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


def script() -> Path | None:
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


def server(
    *, directory: Path, folder: Path, durable: bool, more: str = ""
) -> tuple[PrivateServer, str, str, str]:
    """A node that is not started yet, its AMQP and management URLs, and a word on what it is.

    `more`: lines for its configuration.
    """
    program = script()
    if program is None:
        raise ServerFailed("RabbitMQ's binaries have gone")
    secret = password(folder, "rabbitmq")
    amqp, management, distribution, epmd_port = processes.free_ports(4)
    home = folder / "rabbitmq"
    home.mkdir(mode=0o700, exist_ok=True)
    config = home / "rabbitmq.conf"
    settings = SETTINGS.format(amqp=amqp, management=management, password=secret)
    config.write_text(settings + more)
    plugins = home / "enabled_plugins"
    plugins.write_text("[rabbitmq_management].")
    if must_drop():
        for path in (home, config, plugins):
            own(path)
    config.chmod(0o600)
    told = environment() | {
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
    control = program.with_name("rabbitmqctl")
    elect = f'"$0" wait --quiet --timeout {START_SECONDS:.0f} "$1" && exec "$0" eval "$2"'

    def spawn(name: str, command: list[str | Path]) -> subprocess.Popen[bytes]:
        return processes.spawn(
            name=name,
            command=command,
            owner=directory,
            log=log,
            environment=told,
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
        return spawn("rabbitmq", [program])

    base = f"http://admin:{secret}@127.0.0.1:{management}"

    def answers() -> bool:
        try:
            answer = httpx2.get(
                f"{base}/api/health/checks/port-listener/{amqp}", timeout=5, verify=authorities()
            )
        except httpx2.HTTPError:
            return False
        return answer.status_code == 200

    found = PrivateServer(
        name="rabbitmq",
        log=log,
        stop_signal=signal.SIGTERM if durable else signal.SIGKILL,
        launch=launch,
        answers=answers,
        helpers=helpers,
    )
    url = f"amqp://admin:{secret}@127.0.0.1:{amqp}/"
    return found, url, base, f"RabbitMQ: private node of {program} on port {amqp}"


def _epmd() -> str:
    found = shutil.which("epmd")
    if found is None:
        raise ServerFailed("Erlang's port mapper `epmd` is not on the PATH")
    return found
