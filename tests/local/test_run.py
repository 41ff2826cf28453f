"""`make run` when it cannot: one sentence, an exit code of its own, nothing left behind."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from deploy.local import backing, processes
from deploy.local.layout import REPOSITORY, Layout


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.local.run", *arguments],
        cwd=REPOSITORY,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_taken_port_is_one_sentence_with_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("--directory", str(tmp_path), CCIB_PORT=str(port))
    assert done.returncode == 15
    assert done.stderr.strip() == (
        f"port {port} is in use: stop what listens there, or choose another one "
        f"(CCIB_PORT={port + 1} make run)"
    )
    assert processes.leftovers(owner=tmp_path) == {}


def test_a_port_that_is_no_number_is_one_sentence(tmp_path: Path) -> None:
    done = run("--directory", str(tmp_path), CCIB_PORT="web")
    assert done.returncode == 15
    assert done.stderr.strip() == "CCIB_PORT=web is not a port: give a number from 1 to 65535"


def test_a_second_run_is_refused_and_disturbs_nothing(tmp_path: Path) -> None:
    with backing.claim(tmp_path):
        done = run("--directory", str(tmp_path))
        wiped = run("--directory", str(tmp_path), "--wipe")
    assert done.returncode == wiped.returncode == 11
    assert f"is in use by process {os.getpid()}" in done.stderr


def test_a_given_server_that_is_dead_is_one_sentence(tmp_path: Path) -> None:
    (port, gateway, mail) = processes.free_ports(3)
    done = run(
        "--directory",
        str(tmp_path),
        CCIB_POSTGRES_URL=f"postgresql://me:secret@127.0.0.1:{port}/postgres",
        CCIB_PORT=str(gateway),
        CCIB_MAIL_PORT=str(mail),
    )
    assert done.returncode == 13
    assert "CCIB_POSTGRES_URL" in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_wiping_removes_what_the_stack_owns_and_nothing_else(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.make()
    (layout.secrets / "identity").mkdir(parents=True)
    (tmp_path / "tools").mkdir()
    (tmp_path / "mine.txt").touch()
    done = run("--directory", str(tmp_path), "--wipe")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"tools", "mine.txt", "lock"}
