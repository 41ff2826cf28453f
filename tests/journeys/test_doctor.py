"""`ccib doctor` on the whole platform: ill in many ways at once, half dead, and gone."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tests.journeys.commands import Said, ccib
from tests.journeys.stack import Stack, eventually

Finding = tuple[str, str, str]
PAUSE_S = 1
"""Between two examinations: each is a process, and what is waited for comes every five seconds."""


def examined(stack: Stack) -> tuple[int, list[dict[str, str]]]:
    said = ccib(stack, "doctor", "--json")
    assert said.err == ""
    return said.code, json.loads(said.out)["findings"]


def told(findings: list[dict[str, str]], weight: str, where: str, words: str) -> bool:
    """Whether somebody was told this, and what to do."""
    return any(
        one["weight"] == weight and one["where"] == where and words in one["what"] and one["do"]
        for one in findings
    )


def healthy(stack: Stack, *, seconds: float = 60) -> None:
    def well() -> bool:
        code, findings = examined(stack)
        # What another test of this folder forged stays in the list for a day.
        ill = [one for one in findings if "refused" not in one["what"]]
        return code == 0 or not ill

    eventually(well, "the doctor finds nothing", seconds=seconds, pause=PAUSE_S)


def test_a_platform_that_is_well_is_said_to_be_well(stack: Stack) -> None:
    healthy(stack)
    said = ccib(stack, "doctor")
    assert said.code == 0, said.out
    assert said.out.startswith("Healthy: 1 broker, 5 databases, 5 services answered.")


@contextmanager
def ill(stack: Stack) -> Iterator[list[Finding]]:
    """Break what can be broken side by side; yields what must be said, and mends it."""
    vhost = "ccib"

    def sql(service: str, statement: str) -> Any:
        return stack.value(service, statement)

    with httpx2.Client(base_url=stack.described["management"], timeout=20) as broker:

        def publish(exchange: str, key: str) -> None:
            body = {"properties": {}, "routing_key": key, "payload": "x"}
            answer = broker.post(
                f"/api/exchanges/{vhost}/{exchange}/publish",
                json=body | {"payload_encoding": "string"},
            )
            assert answer.json() == {"routed": True}

        permissions = f"/api/permissions/{vhost}/notifications"
        policy = f"/api/policies/{vhost}/dead-kept"
        rights, kept = broker.get(permissions).json(), broker.get(policy).json()
        revision = sql("consultations", "SELECT version_num FROM alembic_version")
        manifest = sql(
            "privacy",
            "UPDATE manifest SET announced_at = '2000-01-01' WHERE participant = 'directory'"
            " AND announced_at = (SELECT max(announced_at) FROM manifest"
            " WHERE participant = 'directory') RETURNING manifest_hash",
        )
        sql(
            "privacy",
            "INSERT INTO manifest (participant, manifest_hash, manifest, announced_at)"
            " VALUES ('directory', 'older', '{}', now())",
        )
        sql(
            "directory",
            "INSERT INTO outbox (event_id, aggregate, slot, exchange, routing_key, body, created_at,"
            " blocked_until, attempts, last_error) VALUES (gen_random_uuid(), 'x', 0, 'ccib.events',"
            " 'directory.x.v1', '{}', now(), 'infinity', 1, 'returned')",
        )
        sql(
            "identity",
            "INSERT INTO inbox (event_id, aggregate, received_at, state, type, body, reason)"
            " VALUES (gen_random_uuid(), 'x', now(), 'dead', 'fr.x', '{}', 'LookupError')",
        )
        sql("consultations", "UPDATE alembic_version SET version_num = '0000'")
        publish("ccib.unrouted", "x")
        publish("ccib.dead", "directory")
        silent = {"configure": rights["configure"], "write": rights["write"], "read": "^$"}
        broker.put(permissions, json=silent).raise_for_status()
        broker.delete("/api/connections/username/notifications").raise_for_status()
        broker.delete(policy).raise_for_status()
        try:
            yield [
                ("broken", "directory", "parked in its outbox"),
                ("broken", "directory", "a manifest that privacy does not have"),
                ("broken", "notifications", "nobody reads its queue notifications.events"),
                ("broken", "notifications", "nobody reads its queue notifications.erasure"),
                ("broken", "consultations", "its schema is 0000, this release needs"),
                ("attention", "identity", "1 event failed at every try; most: fr.x, LookupError"),
                ("attention", "broker", "1 message in ccib.unrouted"),
                ("attention", "broker", "the policy dead-kept is missing"),
                ("attention", "directory", "the broker gave up on 1 message for it"),
            ]
        finally:
            broker.put(permissions, json=rights).raise_for_status()
            broker.put(policy, json=kept).raise_for_status()
            for queue in ("ccib.unrouted", "directory.dead"):
                broker.delete(f"/api/queues/{vhost}/{queue}/contents").raise_for_status()
            sql("consultations", f"UPDATE alembic_version SET version_num = '{revision}'")
            sql("identity", "DELETE FROM inbox WHERE aggregate = 'x'")
            sql("directory", "DELETE FROM outbox WHERE aggregate = 'x'")
            sql("privacy", "DELETE FROM manifest WHERE manifest_hash = 'older'")
            sql(
                "privacy",
                f"UPDATE manifest SET announced_at = now() WHERE manifest_hash = '{manifest}'",
            )


def test_everything_that_is_wrong_is_said_the_worst_first(stack: Stack) -> None:
    with ill(stack) as wanted:

        def said() -> list[dict[str, str]] | None:  # the broker counts every five seconds
            code, findings = examined(stack)
            assert code == 1
            return findings if all(told(findings, *one) for one in wanted) else None

        findings = eventually(said, f"all of {wanted}", seconds=60, pause=PAUSE_S)
        weights = [one["weight"] for one in findings]
        assert weights == sorted(weights, key=["broken", "attention", "notice"].index)
        spoken = ccib(stack, "doctor")
        assert spoken.code == 1
        first, *_ = spoken.out.splitlines()
        assert (
            first
            == f"{weights.count('broken')} broken, {weights.count('attention')} need attention."
        )
        assert "ccib dead-letters release --service directory" in spoken.out
    healthy(stack)


def test_a_service_that_hangs_is_named_and_the_rest_is_examined(stack: Stack) -> None:
    process = psutil.Process(stack.pid("directory"))
    every = [process, *process.children(recursive=True)]
    for one in every:
        os.kill(one.pid, signal.SIGSTOP)
    try:
        code, findings = examined(stack)
    finally:
        for one in every:
            os.kill(one.pid, signal.SIGCONT)
    assert code == 1
    assert told(findings, "broken", "directory", "does not answer at")
    assert {one["where"] for one in findings if one["weight"] == "broken"} == {"directory"}
    healthy(stack)


def test_a_stack_that_is_gone_answers_nothing(stack: Stack, tmp_path: Path) -> None:
    gone = stack.description
    nowhere = "http://127.0.0.1:9"
    gone |= {
        "gateway": nowhere,
        "services": dict.fromkeys(gone["services"], nowhere),
        "management": nowhere,
        "postgres": dict.fromkeys(gone["postgres"], "postgresql://a:b@127.0.0.1:9/c"),
        "pids": {"directory": [2**22 - 1]},
    }
    path = tmp_path / "stack.json"
    path.write_text(json.dumps(gone))

    async def all_of_them() -> list[Said]:
        async def one(*arguments: str) -> Said:
            return await asyncio.to_thread(ccib, None, *arguments)

        other, absent = tmp_path / "other.json", tmp_path / "absent.json"
        other.write_text('{"gateway": "x"}')
        return await asyncio.gather(
            *(one("doctor", "--stack", str(where)) for where in (path, other, absent))
        )

    dead, other, absent = asyncio.run(all_of_them())
    assert dead.code == 3, dead.out
    assert dead.out.startswith("Nothing answers: no service, no broker, no database.")
    assert "directory: its process 4194303 is gone" in dead.out
    assert (other.code, absent.code) == (2, 3)
    assert "not the description of a stack" in other.err
    assert "no stack is running" in absent.err


@pytest.mark.parametrize("what", ["nothing but the gateway", "one database"])
def test_elsewhere_the_environment_says_where_to_look(stack: Stack, what: str) -> None:
    environment = (
        {"CCIB_URL": stack.described["gateway"]}
        if what == "nothing but the gateway"
        else {"CCIB_DATABASE_URL_IDENTITY": stack.described["postgres"]["identity"]}
    )
    said = ccib(None, "doctor", "--json", **environment)
    findings = json.loads(said.out)["findings"]
    assert told(findings, "notice", "doctor", "not looked at: services (CCIB_SERVICE_URLS)")
    assert {one["weight"] for one in findings} == {"notice"}
    assert said.code == (0 if what == "one database" else 3)
