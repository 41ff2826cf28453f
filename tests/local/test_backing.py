"""The servers: found in order, private, and gone when their owner is."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import aio_pika
import asyncpg
import httpx2
import psutil
import pytest

from deploy.local import backing, binaries, containers, processes
from deploy.local.backing import Servers, servers
from deploy.local.errors import (
    DirectoryInUse,
    MissingRight,
    NoServer,
    ServerFailed,
    ServerUnreachable,
)

pytestmark = pytest.mark.xdist_group("backing")


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """Not one of pytest's folders: each run closes them to others, such as the servers' user."""
    with TemporaryDirectory(prefix="with a space ") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "and another"


@pytest.fixture(scope="module")
def backed(directory: Path) -> Iterator[Servers]:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("CCIB_POSTGRES_URL", raising=False)
        environment.delenv("CCIB_AMQP_URL", raising=False)
        with servers(directory, durable=False) as found:
            yield found


async def test_both_servers_answer_from_a_folder_with_a_space(backed: Servers) -> None:
    database = await asyncpg.connect(backed.postgres_url)
    assert await database.fetchval("show listen_addresses") == "127.0.0.1"
    assert await database.fetchval("show log_error_verbosity") == "terse"
    assert await database.fetchval("show fsync") == "off"
    await database.close()
    connection = await aio_pika.connect(backed.amqp_url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(
            "trial", durable=True, arguments={"x-queue-type": "quorum"}
        )
        await channel.default_exchange.publish(aio_pika.Message(b"there"), "trial")
        message = await queue.get(timeout=10)
        assert message.body == b"there"
        await message.ack()


async def test_nothing_listens_beyond_this_machine(backed: Servers) -> None:
    for server in backed.private:
        for listener in listeners(server.pid):
            assert listener in {"127.0.0.1", "::1"}, f"{server.name} listens on {listener}"


def listeners(pid: int) -> set[str]:
    process = psutil.Process(pid)
    found: set[str] = set()
    for one in (process, *process.children(recursive=True)):
        found |= {c.laddr.ip for c in one.net_connections() if c.status == psutil.CONN_LISTEN}
    return found


async def test_servers_never_run_as_root(backed: Servers) -> None:
    expected = os.geteuid() or processes.UNPRIVILEGED
    for server in backed.private:
        assert psutil.Process(server.pid).uids().real == expected


async def test_a_second_process_is_refused_with_a_sentence(
    backed: Servers, directory: Path
) -> None:
    with (
        pytest.raises(DirectoryInUse, match=f"in use by process {os.getpid()}"),
        servers(directory),
    ):
        pass


@pytest.mark.timeout(90)
async def test_killed_servers_come_back_with_what_they_held(backed: Servers) -> None:
    database = await asyncpg.connect(backed.postgres_url)
    await database.execute("create table if not exists kept (n int); insert into kept values (1)")
    await database.close()
    for server in backed.private:
        server.kill()
    for server in backed.private:
        assert not server.alive
        server.start()
    for server in backed.private:
        server.wait()
    database = await asyncpg.connect(backed.postgres_url)
    assert await database.fetchval("select count(*) from kept") >= 1
    await database.close()


def test_a_given_server_is_used_and_checked(backed: Servers) -> None:
    backing.check_postgres(backed.postgres_url)
    assert (
        backing.check_rabbitmq(amqp_url=backed.amqp_url, management_url=backed.management_url)
        == backed.management_url
    )


def test_a_wrong_password_is_said_in_one_sentence(backed: Servers) -> None:
    wrong = backed.postgres_url.replace("postgres:", "postgres:not-", 1)
    with pytest.raises(ServerUnreachable, match="CCIB_POSTGRES_URL.*password") as caught:
        backing.check_postgres(wrong)
    assert "not-" not in str(caught.value)
    wrong = backed.management_url.replace("admin:", "admin:not-", 1)
    with pytest.raises(ServerUnreachable, match="refuses the user or the password"):
        backing.check_rabbitmq(amqp_url=backed.amqp_url, management_url=wrong)


def test_a_server_that_is_not_there_is_said_in_one_sentence() -> None:
    (port,) = processes.free_ports(1)
    with pytest.raises(ServerUnreachable, match=f"127.0.0.1:{port}"):
        backing.check_postgres(f"postgresql://me:secret@127.0.0.1:{port}/postgres")
    with pytest.raises(ServerUnreachable, match="does not answer"):
        backing.check_rabbitmq(
            amqp_url=f"amqp://me:secret@127.0.0.1:{port}/",
            management_url=f"http://127.0.0.1:{port}",
        )


async def test_a_role_that_may_not_create_databases_is_refused(backed: Servers) -> None:
    database = await asyncpg.connect(backed.postgres_url)
    await database.execute("create role modest login password 'modest'")
    await database.close()
    place = backed.postgres_url.rpartition("@")[2]
    with pytest.raises(MissingRight, match="modest may not create databases"):
        backing.check_postgres(f"postgresql://modest:modest@{place}")


async def test_a_broker_user_who_is_no_administrator_is_refused(backed: Servers) -> None:
    answer = httpx2.put(
        f"{backed.management_url}/api/users/modest",
        json={"password": "modest", "tags": "management"},
    )
    assert answer.is_success
    place = backed.management_url.rpartition("@")[2]
    with pytest.raises(MissingRight, match="not an administrator"):
        backing.check_rabbitmq(
            amqp_url=backed.amqp_url, management_url=f"http://modest:modest@{place}"
        )


OWNER = """
import sys, time
from pathlib import Path
from deploy.local import processes
folder = Path(sys.argv[1])
child = processes.spawn(name="sleeper", command=[sys.executable, "-c", sys.argv[2]],
                        owner=folder, log=folder / "log", environment={})
print(child.pid, flush=True)
time.sleep(60)
"""

STUBBORN = (
    "import signal, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('up', flush=True)\n"
    "time.sleep(60)"
)


def test_a_child_follows_its_owner_even_when_that_one_is_killed(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), "import time; time.sleep(60)"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    child = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    owner.stdout.close()
    wait_until(lambda: not runs(child))


def test_a_leftover_is_found_by_its_mark_and_nothing_else_is_touched(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), STUBBORN], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    child = int(owner.stdout.readline())
    wait_until(lambda: "up" in (tmp_path / "log").read_text())
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert processes.leftovers(owner=tmp_path) == {child: "sleeper"}
    assert processes.leftovers(owner=tmp_path.parent) == {}
    assert processes.stop_leftovers(owner=tmp_path, grace=0.5) == ["sleeper"]
    wait_until(lambda: processes.leftovers(owner=tmp_path) == {})


def test_the_pid_file_of_a_dead_server_does_not_stop_a_new_one(
    directory: Path, backed: Servers
) -> None:
    postgres = next(server for server in backed.private if server.name == "postgres")
    postgres.kill()
    stale = directory / "servers" / "postgres" / "postmaster.pid"
    lines = stale.read_text().splitlines()
    # A living process of the same user: what makes PostgreSQL refuse.
    rabbitmq = next(server for server in backed.private if server.name == "rabbitmq")
    stale.write_text("\n".join([str(rabbitmq.pid), *lines[1:]]))
    postgres.start()
    postgres.wait()
    assert postgres.alive


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    log = tmp_path / "log"
    server = binaries.PrivateServer(
        name="postgres",
        log=log,
        stop_signal=signal.SIGTERM,
        launch=lambda: processes.spawn(
            name="postgres",
            command=["sh", "-c", "echo could not lock memory; exit 1"],
            owner=tmp_path,
            log=log,
            environment=dict(os.environ),
        ),
        answers=lambda: False,
    )
    server.start()
    with pytest.raises(ServerFailed, match="stopped while starting:\ncould not lock memory"):
        server.wait()


def test_data_lie_where_the_servers_can_reach_them(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    here = closed / "project"
    here.mkdir()
    place = binaries.place(here)
    try:
        by_root = os.geteuid() == 0
        assert place.parent == (Path("/var/tmp") if by_root else here)
        assert place.stat().st_uid == (processes.UNPRIVILEGED if by_root else os.geteuid())
        assert (here / "servers").resolve() == place
        assert binaries.place(here) == place
    finally:
        backing.remove_data(here)
    assert not place.exists()
    assert not (here / "servers").is_symlink()


def test_without_any_way_the_four_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # neither Erlang nor apt-get
    monkeypatch.setenv("CCIB_POSTGRES_BIN", str(tmp_path))
    with (
        pytest.raises(NoServer, match="PostgreSQL and RabbitMQ: not found. Four ways") as error,
        servers(tmp_path / "data"),
    ):
        pass
    for way in ("CCIB_POSTGRES_URL", "Docker", "binaries", "root on Debian"):
        assert way in str(error.value)


def test_an_engine_that_is_not_there_is_noticed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = processes.free_ports(1)
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{port}")
    started = time.monotonic()
    assert not containers.engine_answers()
    assert time.monotonic() - started < 3


def test_a_taken_port_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert not processes.port_is_free(listener.getsockname()[1])


async def test_synchronous_questions_can_be_asked_inside_a_running_loop() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    assert binaries.run(answer()) == 42


def runs(pid: int) -> bool:
    """Dead but not yet collected is not running: a container's first process may never collect."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: object, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def test_a_port_that_was_given_and_is_not_bound_yet_is_given_to_nobody_else() -> None:
    (given,) = processes.free_ports(1)
    script = f"from deploy.local import processes; processes.free_ports(1, among=[{given}])"
    other = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert "no free TCP port" in other.stderr
    assert processes.port_is_free(given)
