"""The demo partner with a vice: a process, with a broker user of its own, that answers as it likes.

Environment: that of the demo partner; `PARTNER_VICE`, a name in `VICES`; for `late` the file
`PARTNER_GO`, whose appearance ends the wait; for `unasked` the answer itself in `PARTNER_ANSWER`.
"""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from yarl import URL

from deploy.local.partner import ANSWERS, Partner, Record, react

Answer = dict[str, Any]
SERVICE_ANSWERED = "fr.ccibusiness.privacy.erasure_acknowledged.v1"


def _each(answer: Answer, **changes: Any) -> Answer:
    return {**answer, "subjects": [{**one, **changes} for one in answer["subjects"]]}


def _for_a_service(answer: Answer) -> Answer:
    """As the directory would say it, but for the signature, which only the directory can make."""
    return {
        **answer,
        "broadcast_id": str(uuid4()),
        "participant": "directory",
        "manifest_hash": "0" * 64,
        "subjects": [{**one, "tables": {}} for one in answer["subjects"]],
        "signature": "e30..c2ln",
    }


VICES: dict[str, Callable[[Answer], list[Answer]]] = {
    "honest": lambda answer: [answer],
    "late": lambda answer: [answer],
    "silent": lambda _: [],
    "twice": lambda answer: [answer, answer],
    "another-entry": lambda answer: [{**answer, "entry_hash": "0" * 64}],
    "somebody-else": lambda answer: [_each(answer, erasure_id=str(uuid4()))],
    "outcome-not-its-own": lambda answer: [_each(answer, outcome="waived")],
    "foreign-sender": lambda answer: [_for_a_service(answer)],
    "unasked": lambda _: [],
}


class Character(Partner):
    """Hears and forgets as the demo partner does; what it says is up to its vice."""

    async def _work_off(
        self, channel: AbstractChannel, batch: list[AbstractIncomingMessage]
    ) -> None:
        vice = os.environ["PARTNER_VICE"]
        for message in batch:
            answer = react(self.record, message)
            if answer is not None:
                await self._say(channel, *VICES[vice](answer), late=vice == "late")
        await batch[-1].ack(multiple=True)

    async def _serve(self, channel: AbstractChannel, stop: asyncio.Event) -> None:
        if unasked := os.environ.get("PARTNER_ANSWER"):
            await self._say(channel, json.loads(unasked), late=False)
        await super()._serve(channel, stop)

    async def _say(self, channel: AbstractChannel, *answers: Answer, late: bool) -> None:
        exchange = await channel.get_exchange(ANSWERS, ensure=False)
        while late and not Path(os.environ["PARTNER_GO"]).exists():
            await asyncio.sleep(0.05)
        for answer in answers:
            await exchange.publish(self._message(answer), "erasure_acknowledged", timeout=10)

    def _message(self, answer: Answer) -> aio_pika.Message:
        message = super()._message(answer)
        if "participant" in answer:
            event = {**json.loads(message.body), "type": SERVICE_ANSWERED}
            message.body = json.dumps(event).encode()
        return message


async def main() -> None:
    queue = os.environ["CCIB_PARTNER_QUEUE"]
    character = Character(
        url=URL(os.environ["CCIB_PARTNER_AMQP_URL"]),
        queue=queue,
        name=queue.removeprefix("ext.").removesuffix(".events"),
        record=Record.load(Path(os.environ["CCIB_PARTNER_STATE"])),
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await character.run(stop)


if __name__ == "__main__":
    asyncio.run(main())
