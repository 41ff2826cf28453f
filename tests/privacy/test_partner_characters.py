"""Partners of every character, each a process with a broker user of its own (E12, E23).

Each can close its own step, by an answer that fits, and no other. Whoever lies, answers for somebody
else or says nothing keeps the erasure open, is shown to the DPO, and holds nobody else up.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from contracts.privacy import ErasureCompleted
from deploy.local.layout import REPOSITORY
from tests.partner.character import VICES
from tests.privacy.conftest import a_partner
from tests.privacy.troupe import (
    Partner,
    Troupe,
    answers_uncalled,
    ask,
    completed,
    dpo,
    open_steps,
    refused,
    state,
)
from tests.stand import Stand

LIARS = ("another-entry", "somebody-else", "outcome-not-its-own", "foreign-sender")


@dataclass(kw_only=True)
class Cast:
    """Who plays: the partners by vice, and their processes."""

    stand: Stand
    folder: Path
    partners: dict[str, Partner]
    processes: dict[str, asyncio.subprocess.Process]

    async def play(self, vice: str, *, role: str | None = None, **more: str) -> None:
        """Start the process of the partner with that vice, to play it or another role."""
        partner, where = self.partners[vice], urlsplit(self.stand.settings.amqp_url)
        password = partner.credentials["password"]
        self.processes[vice] = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.partner.character",
            cwd=REPOSITORY,
            env={
                "PATH": os.environ["PATH"],
                "CCIB_PARTNER_AMQP_URL": (
                    f"amqp://{partner.user}:{password}@{where.hostname}:{where.port}{where.path}"
                ),
                "CCIB_PARTNER_QUEUE": partner.credentials["queue"],
                "CCIB_PARTNER_STATE": str(self.folder / f"{vice}.json"),
                "PARTNER_GO": str(self.folder / "go"),
                "PARTNER_VICE": role or vice,
                **more,
            },
        )

    async def becomes_honest(self, vice: str) -> None:
        """Its makers have mended it: killed, and started without the vice."""
        await self.leave(vice)
        await self.play(vice, role="honest")

    async def leave(self, vice: str) -> None:
        process = self.processes.pop(vice)
        process.kill()
        await process.wait()


@asynccontextmanager
async def a_cast(stand: Stand, folder: Path) -> AsyncIterator[Cast]:
    async with AsyncExitStack() as stack:
        partners = {
            vice: await stack.enter_async_context(a_partner(stand))
            for vice in VICES
            if vice != "unasked"
        }
        cast = Cast(stand=stand, folder=folder, partners=partners, processes={})
        for vice in partners:
            await cast.play(vice)
        try:
            yield cast
        finally:
            for vice in list(cast.processes):
                await cast.leave(vice)


async def open_until(stand: Stand, erasure_id: UUID, expected: set[str]) -> None:
    """Wait until exactly these have not proven their part."""
    found: list[str] = []
    for _ in range(300):
        found = open_steps(await state(stand, erasure_id))
        if set(found) == expected:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"open: {sorted(found)}, expected: {sorted(expected)}")


@pytest.mark.timeout(120)
async def test_partners_of_every_character_close_their_own_step_and_no_other(
    privacy: Stand, troupe: Troupe, tmp_path: Path
) -> None:
    async with a_cast(privacy, tmp_path) as cast:
        name = {vice: partner.name for vice, partner in cast.partners.items()}
        with troupe.silent("directory") as directory:
            erasure_id = await ask(privacy)
            command = await directory.commanded(erasure_id)
            for vice in LIARS:
                user = cast.partners[vice].user
                await refused(privacy, vice, position=command.position, sender=user)
            guilty = {name[vice] for vice in ("late", "silent", *LIARS)}
            await open_until(privacy, erasure_id, {"directory", *guilty})

            # Somebody who was not asked, and knows what to say: counted, and nothing closes by it.
            before = answers_uncalled()
            async with a_partner(privacy) as stranger:
                cast.partners["unasked"] = stranger
                answer = {
                    "position": command.position,
                    "entry_hash": command.entry_hash,
                    "subjects": [{"erasure_id": str(erasure_id), "outcome": "erased"}],
                }
                await cast.play("unasked", PARTNER_ANSWER=json.dumps(answer))
                while answers_uncalled() == before:
                    await asyncio.sleep(0.05)
                await cast.leave("unasked")
            # A service with its own credentials and its own key, in another's name.
            await troupe["notifications"].swear(directory.statement(command))
            await refused(privacy, "foreign-sender", sender=troupe["notifications"].user)
            # In its own name, with a key that is not its own.
            await directory.swear(directory.statement(command), key=troupe["notifications"].key)
            await refused(privacy, "bad-signature", sender=directory.user)
            await open_until(privacy, erasure_id, {"directory", *guilty})

            (tmp_path / "go").touch()
            await open_until(privacy, erasure_id, {"directory", *guilty} - {name["late"]})
            await directory.acknowledge(command)
            for vice in LIARS:
                await cast.becomes_honest(vice)
            await privacy.rows("UPDATE broadcast SET chase_at = now() WHERE chase_at IS NOT NULL")
            await open_until(privacy, erasure_id, {name["silent"]})

        # One that never answers is enough: nothing is complete, and nothing is certified.
        assert not privacy.heard_count(ErasureCompleted, erasure_id=erasure_id)
        path = f"/api/privacy/certificates/{erasure_id}"
        assert (await privacy.client.get(path, headers=dpo(privacy))).status_code == 409
        await cast.becomes_honest("silent")
        await privacy.rows("UPDATE broadcast SET chase_at = now() WHERE chase_at IS NOT NULL")
        await completed(privacy, erasure_id)
        assert (await privacy.client.get(path, headers=dpo(privacy))).status_code == 200
        assert privacy.heard_count(ErasureCompleted, erasure_id=erasure_id) == 1
