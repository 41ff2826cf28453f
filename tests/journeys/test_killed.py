"""Processes die and servers go while somebody is being forgotten; it completes all the same."""

import os
import signal
import time

import pytest

from tests.journeys import people
from tests.journeys.stack import Stack, eventually


def back(stack: Stack, killed: dict[str, int]) -> None:
    """Wait until new processes answer, so that the next test finds the platform whole."""

    def ready() -> bool:
        return all(
            stack.pid(name) != pid
            and stack.http.get(f"/api/{name}/openapi.json").status_code == 200
            for name, pid in killed.items()
        )

    eventually(ready, f"{', '.join(killed)} are back")


@pytest.mark.parametrize(
    "services",
    [("consultations", "directory", "notifications"), ("privacy",)],
    ids=["participants", "orchestrator"],
)
def test_services_killed_before_they_answered_are_started_again_and_complete(
    stack: Stack, services: tuple[str, ...]
) -> None:
    person = people.a_member(stack)
    people.tells_about_themself(person)
    pids = {name: stack.pid(name) for name in services}
    for pid in pids.values():  # they are there, and do nothing
        os.kill(pid, signal.SIGSTOP)
    farewell = person.delete_account()
    if "privacy" not in services:
        eventually(
            lambda: sum(bool(step["outcome"]) for step in farewell.state()["steps"]) == 3,
            "the others have answered",
        )
        open_steps = {s["participant"] for s in farewell.state()["steps"] if not s["outcome"]}
        assert open_steps == set(services)
        assert farewell.ask("certificates").status_code == 409
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    started = time.monotonic()
    farewell.completed(seconds=30)
    print(f"{', '.join(services)} killed: completed after {time.monotonic() - started:.1f} s")
    back(stack, pids)


def test_identity_killed_as_soon_as_it_has_promised_keeps_its_promise(stack: Stack) -> None:
    person = people.a_member(stack)
    pid = stack.pid("identity")
    farewell = person.delete_account()
    os.kill(pid, signal.SIGKILL)
    started = time.monotonic()
    farewell.completed(seconds=30)
    print(f"identity killed: completed after {time.monotonic() - started:.1f} s")
    back(stack, {"identity": pid})


def test_a_broker_that_dies_in_the_middle_and_comes_back_loses_nothing(stack: Stack) -> None:
    person = people.a_member(stack)
    people.tells_about_themself(person)
    os.kill(stack.pid("rabbitmq"), signal.SIGKILL)
    farewell = person.delete_account()
    assert farewell.state()["state"] == "open"
    farewell.completed(seconds=60)


def test_a_database_server_that_dies_in_the_middle_and_comes_back_loses_nothing(
    stack: Stack,
) -> None:
    person = people.a_member(stack)
    people.tells_about_themself(person)
    farewell = person.delete_account()
    os.kill(stack.pid("postgres"), signal.SIGKILL)
    started = time.monotonic()
    farewell.completed(seconds=60)
    print(f"PostgreSQL killed: completed after {time.monotonic() - started:.1f} s")
