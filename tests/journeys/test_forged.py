"""A service with valid credentials of its own cannot prove another's part (E12, E23)."""

import asyncio
import json
import os
import signal
from typing import Any
from urllib.parse import urlsplit

import aio_pika

from chassis import clock
from chassis.evidence import load_key, sign
from chassis.ids import new_id
from contracts.base import Kind
from contracts.privacy import ErasureAcknowledged, PartnerAcknowledged
from tests.journeys import people
from tests.journeys.stack import Stack, eventually


def say(stack: Stack, kind: type[Any], data: dict[str, Any], *, user: str, secret: str) -> None:
    """Publish an answer as a broker user, who cannot pretend to be another."""
    where = urlsplit(stack.described["amqp"])
    envelope = {
        "specversion": "1.0",
        "id": str(new_id()),
        "source": "/services/directory",
        "type": kind.event_type(),
        "subject": str(data[kind.subject_field]),
        "time": clock.now().isoformat(),
        "data": data,
    }

    async def publish() -> None:
        url = f"amqp://{user}:{secret}@{where.hostname}:{where.port}{where.path}"
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange(Kind.ANSWER.value, ensure=False)
            message = aio_pika.Message(json.dumps(envelope).encode(), user_id=user)
            await exchange.publish(message, kind.routing_key())

    asyncio.run(publish())


def test_silence_and_forgery_are_never_success(stack: Stack) -> None:
    dpo = people.an_official(stack, "dpo")
    person = people.a_member(stack)
    people.tells_about_themself(person)
    pid = stack.pid("directory")
    os.kill(pid, signal.SIGSTOP)
    try:
        farewell = person.delete_account()
        eventually(
            lambda: sum(bool(step["outcome"]) for step in farewell.state()["steps"]) >= 5,
            "all the others have answered",
        )
        entry = json.loads(
            stack.value(
                "privacy",
                "SELECT json_build_object('entry', entry, 'hash', entry_hash) FROM broadcast"
                " ORDER BY position DESC LIMIT 1",
            )
        )
        # As complete as the genuine one will be: whoever speaks here knows all that is public.
        manifest = stack.value(
            "privacy", "SELECT manifest_hash FROM manifest WHERE participant = 'directory'"
        )
        tables = json.loads(
            stack.value(
                "privacy", "SELECT manifest->'tables' FROM manifest WHERE participant = 'directory'"
            )
        )
        lie = {
            "broadcast_id": entry["entry"]["broadcast_id"],
            "position": entry["entry"]["position"],
            "entry_hash": entry["hash"],
            "participant": "directory",
            "manifest_hash": manifest,
            "subjects": [
                {
                    "erasure_id": farewell.erasure_id,
                    "outcome": "nothing_held",
                    "tables": {
                        name: {"deleted": 0, "detached": 0, "kept": []}
                        for name, table in tables.items()
                        if table["subjects"]
                    },
                }
            ],
        }
        secrets = stack.layout.secrets
        signed = lie | {
            "signature": sign(lie, load_key(secrets / "notifications" / "evidence.pem"))
        }
        say(
            stack,
            ErasureAcknowledged,
            signed,
            user="notifications",
            secret=(secrets / "notifications.password").read_text(),
        )
        partner = json.loads(stack.layout.first_run.read_text())["partner"]
        say(
            stack,
            PartnerAcknowledged,
            {
                "position": lie["position"],
                "entry_hash": lie["entry_hash"],
                "subjects": [{"erasure_id": str(new_id()), "outcome": "erased"}],
            },
            user=partner["user"],
            secret=partner["password"],
        )

        def refused() -> bool:
            causes = {
                one["cause"]
                for one in dpo.call("GET", "privacy/refusals")
                if one["position"] == lie["position"]
            }
            return {"foreign-sender", "somebody-else"} <= causes

        eventually(refused, "both are refused, and the DPO sees it")
        state = farewell.state()
        assert state["state"] == "open"
        [silent] = [step for step in state["steps"] if not step["outcome"]]
        assert silent["participant"] == "directory"
        assert farewell.ask("certificates").status_code == 409
    finally:
        os.kill(pid, signal.SIGCONT)
    farewell.completed()
    [step] = [s for s in farewell.state()["steps"] if s["participant"] == "directory"]
    assert step["outcome"] == "erased"
