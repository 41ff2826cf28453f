"""From the answer that accepts a request to the certificate that proves it."""

import asyncio
import time
from collections.abc import Sequence
from uuid import UUID

import httpx2

from bench.erasure_people import PASSWORD
from bench.erasure_platform import Platform, certificate_of
from chassis.ids import new_id

_DONE = "SELECT completed_at IS NOT NULL FROM erasure WHERE erasure_id = $1"


async def one_after_the_other(running: Platform, people: Sequence[UUID]) -> list[float]:
    """Seconds from accepted to certified, for each of these people, who ask at identity's door.

    Each finds the platform idle: the last message of the one before has gone.
    """
    took = []
    for person in people:
        await settled(running)
        took.append(await forget(running, person))
    return took


async def settled(running: Platform) -> None:
    """Nobody is busy any more, the last mails included."""
    await running.until("SELECT NOT EXISTS (SELECT FROM erasure WHERE completed_at IS NULL)")
    await running.until("SELECT NOT EXISTS (SELECT FROM last_message)")
    for service in running.urls:
        await running.until("SELECT NOT EXISTS (SELECT FROM outbox)", service=service)


async def forget(running: Platform, person: UUID) -> float:
    """Seconds from the answer 202 to the certificate, fetched by its owner with the key."""
    session_id = await running.lines["identity"].fetchval(
        "SELECT id FROM session WHERE account_id = $1", person
    )
    accepted = await running.http.request(
        "DELETE",
        f"{running.ports.url('identity')}/api/identity/me",
        json={"password": PASSWORD},
        headers=running.token(person, session_id=session_id),
    )
    started = time.perf_counter()
    accepted.raise_for_status()
    told = accepted.json()
    await running.until(_DONE, UUID(told["erasure_id"]))
    answer = await _fetched(running, told["erasure_id"], key=told["key"])
    took = time.perf_counter() - started
    proven = {part["name"]: part["outcome"] for part in certificate_of(answer)["participants"]}
    expected = dict.fromkeys(running.urls, "erased") | {"demo": "nothing_held"}
    if {name: outcome.replace("kept_under_hold", "erased") for name, outcome in proven.items()} != (
        expected
    ):
        raise RuntimeError(f"not what everybody held: {proven}")
    return took


async def _fetched(running: Platform, erasure_id: str, *, key: str) -> httpx2.Response:
    """The certificate; who asked while privacy was killed asks again, and that takes its time, too."""
    url = f"{running.ports.url('privacy')}/api/privacy/certificates/{erasure_id}"
    async with asyncio.timeout(60):
        while True:
            try:
                answer = await running.http.get(url, headers={"Erasure-Key": key})
            except httpx2.TransportError:
                pass
            else:
                if answer.status_code != httpx2.codes.SERVICE_UNAVAILABLE:
                    return answer
            await asyncio.sleep(0.02)


async def warm(running: Platform) -> None:
    """Everything has been used once, and every loop listens."""
    people = [new_id() for _ in range(5)]
    await running.populate(people)
    await one_after_the_other(running, people)
    await asyncio.sleep(1)
