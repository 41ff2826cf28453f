"""The processes of the stack: watched while they start, replaced when they die, gone at the end."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local import processes
from deploy.local.errors import ChildFailed
from deploy.local.supervisor import Child, Supervisor


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    one = Supervisor(owner=tmp_path, folder=tmp_path, say=said.append)
    yield one
    one.stop()
    assert processes.leftovers(owner=tmp_path) == {}


def a_child(folder: Path, code: str, *, name: str = "child", ready_url: str = "") -> Child:
    return Child(
        name=name,
        command=[sys.executable, "-c", code],
        environment={"PATH": os.environ["PATH"]},
        log=folder / f"{name}.log",
        ready_url=ready_url,
    )


SLEEPS = "import time; time.sleep(60)"
SERVES = (
    "import sys, http.server as h; h.test(h.SimpleHTTPRequestHandler, port={}, bind='127.0.0.1')"
)


def test_a_child_is_ready_when_its_address_answers(supervisor: Supervisor, tmp_path: Path) -> None:
    (port,) = processes.free_ports(1)
    child = a_child(tmp_path, SERVES.format(port), ready_url=f"http://127.0.0.1:{port}/")
    supervisor.start([child])
    supervisor.wait_ready()
    assert child.answers()


def test_a_child_that_dies_while_starting_is_an_error_with_its_last_words(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.start(
        [
            a_child(tmp_path, SLEEPS, name="patient"),
            a_child(tmp_path, "raise SystemExit('no key in the folder')", name="hasty"),
        ]
    )
    supervisor.steps[0][1].ready_url = "http://127.0.0.1:1/"
    with pytest.raises(ChildFailed, match="hasty stopped while starting:\nno key in the folder"):
        supervisor.wait_ready()


def test_the_last_words_of_a_json_log_are_readable(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        'plain\n{"event": "Traceback:\\n  line 3\\nKeyError: token", "level": "error"}\n'
    )
    assert processes.tail(log, lines=3) == "Traceback:\n  line 3\nKeyError: token"


def test_a_child_that_dies_later_is_replaced_at_once_and_said(
    supervisor: Supervisor, tmp_path: Path, said: list[str]
) -> None:
    supervisor.start([a_child(tmp_path, SLEEPS)])
    (first,) = supervisor.pids()["child"]
    os.kill(first, signal.SIGKILL)
    wait_until(supervisor.tend)
    (second,) = supervisor.pids()["child"]
    assert second != first
    assert said == [f"child stopped (signal 9): starting it again — log: {tmp_path}/child.log"]
    assert not supervisor.tend()


def test_a_child_that_keeps_dying_waits_longer_each_time(
    supervisor: Supervisor, tmp_path: Path, said: list[str]
) -> None:
    supervisor.start([a_child(tmp_path, "raise SystemExit(3)")])
    deadline = time.monotonic() + 2.5
    while time.monotonic() < deadline:
        supervisor.tend()
        time.sleep(0.02)
    assert 3 <= len(said) <= 4  # at once, then after 0.5 s, 1 s, 2 s
    assert "(status 3)" in said[0]


def test_everything_a_child_started_ends_with_it(supervisor: Supervisor, tmp_path: Path) -> None:
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEPS!r}])"
    supervisor.start([a_child(tmp_path, parent)])
    (pid,) = supervisor.pids()["child"]
    wait_until(lambda: bool(psutil.Process(pid).children()))
    (grandchild,) = psutil.Process(pid).children()
    os.kill(pid, signal.SIGKILL)
    wait_until(supervisor.tend)
    wait_until(lambda: not grandchild.is_running() or grandchild.status() == "zombie")


def test_children_stop_in_the_reverse_order_of_their_start(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    code = (
        "import signal, sys, time, pathlib\n"
        "def end(*_):\n"
        "    with open('order', 'a') as order: order.write('{0} ')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "pathlib.Path('{0}.up').touch()\n"
        "time.sleep(60)\n"
    )
    for name in ("first", "second", "third"):
        supervisor.start([a_child(tmp_path, code.format(name), name=name)])
    wait_until(lambda: len(list(tmp_path.glob("*.up"))) == 3)
    supervisor.stop()
    assert (tmp_path / "order").read_text().split() == ["third", "second", "first"]


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)
