"""What an operator does about events that took no effect: see why, try again, or let go.

They are rows of the inbox, dead or parked. What the broker itself gave up on waits in the service's
dead letter queue; `collect` brings it here, so that there is one list.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from aio_pika.abc import AbstractIncomingMessage, AbstractQueue
from pydantic import ValidationError
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import DateTime, LargeBinary, Uuid

from chassis import clock, crash
from chassis.bus import close, connect
from chassis.db import Database, wake
from chassis.handling import BELL
from contracts.base import TYPE_PREFIX, Envelope, Kind

_IDS = bindparam("ids", type_=ARRAY(Uuid))
_NO_EVENT = UUID("5b0f2bd0-5e5f-4bd8-9e5b-7b0d5a3f6c11")
"""The namespace of ids for messages that have none that can be read."""
_TOGETHER = 100
"""Messages of a dead letter queue that share a transaction."""

Note = Callable[[AsyncSession, int], Awaitable[None]]

_ADOPT = text(
    """
    INSERT INTO inbox (event_id, aggregate, received_at, state, type, body, sender, reason)
    VALUES (:id, :aggregate, :now, 'dead', :type, :body, :sender, :reason)
    ON CONFLICT DO NOTHING
    """
).bindparams(
    bindparam("id", type_=Uuid),
    bindparam("now", type_=DateTime(timezone=True)),
    bindparam("body", type_=LargeBinary),
)


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Dead letters that have the same story."""

    state: str
    type: str | None
    reason: str | None
    count: int
    oldest: datetime
    newest: datetime


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """One of them, to be looked at.

    The body holds opaque ids only when it is one of ours; what was refused may hold anything.
    """

    event_id: UUID
    state: str
    type: str | None
    aggregate: str
    reason: str | None
    sender: str | None
    attempts: int
    received_at: datetime
    body: bytes
    order: int

    @property
    def replayable(self) -> bool:
        """What the consumer refused has no type, and can only be dropped."""
        return self.type is not None


_STUCK = "state IN ('dead', 'parked')"
_COLUMNS = (
    "event_id, state, type, aggregate, reason, sender, attempts, received_at,"
    " coalesce(body, '') AS body, \"order\""
)


async def causes(session: AsyncSession) -> list[Cause]:
    """All of them, grouped by cause, the largest group first."""
    rows = await session.execute(
        text(
            "SELECT state, type, reason, count(*) AS count, min(received_at) AS oldest,"  # noqa: S608
            f" max(received_at) AS newest FROM inbox WHERE {_STUCK}"
            " GROUP BY state, type, reason ORDER BY count(*) DESC, type, reason"
        )
    )
    return [Cause(**row) for row in rows.mappings()]


async def letters(
    session: AsyncSession,
    *,
    type: str | None = None,
    reason: str | None = None,
    after: int | None = None,
    limit: int = 100,
) -> list[DeadLetter]:
    """The oldest of one type or reason, or of all; `after`: the `order` of the last one seen."""
    rows = await session.execute(
        text(
            f"SELECT {_COLUMNS} FROM inbox WHERE {_STUCK}"  # noqa: S608 - constants only
            " AND (CAST(:type AS text) IS NULL OR type = :type)"
            " AND (CAST(:reason AS text) IS NULL OR reason = :reason)"
            ' AND (CAST(:after AS bigint) IS NULL OR "order" > :after)'
            ' ORDER BY "order" LIMIT :limit'
        ),
        {"type": type, "reason": reason, "after": after, "limit": limit},
    )
    return [DeadLetter(**row) for row in rows.mappings()]


async def letter(session: AsyncSession, event_id: UUID) -> DeadLetter | None:
    """One of them."""
    rows = await session.execute(
        text(
            f"SELECT {_COLUMNS} FROM inbox WHERE {_STUCK} AND event_id = :id"  # noqa: S608
        ).bindparams(bindparam("id", type_=Uuid)),
        {"id": event_id},
    )
    found = rows.mappings().one_or_none()
    return DeadLetter(**found) if found else None


async def of_cause(
    session: AsyncSession, *, type: str | None, reason: str | None, limit: int
) -> list[UUID]:
    """The oldest of exactly this cause, locked; None means that they have no type, or no reason."""
    found = await session.scalars(
        text(
            f"SELECT event_id FROM inbox WHERE {_STUCK}"  # noqa: S608 - constants only
            " AND type IS NOT DISTINCT FROM CAST(:type AS text)"
            " AND reason IS NOT DISTINCT FROM CAST(:reason AS text)"
            ' ORDER BY "order" LIMIT :limit FOR UPDATE SKIP LOCKED'
        ),
        {"type": type, "reason": reason, "limit": limit},
    )
    return list(found)


async def still_there(session: AsyncSession, event_ids: Sequence[UUID]) -> int:
    """How many of these are dead letters now."""
    return int(
        await session.scalar(
            text(
                f"SELECT count(*) FROM inbox WHERE {_STUCK} AND event_id = ANY(:ids)"  # noqa: S608
            ).bindparams(_IDS),
            {"ids": list(event_ids)},
        )
        or 0
    )


async def replay(session: AsyncSession, event_ids: Sequence[UUID]) -> int:
    """Try these again, from the first attempt, past the fence as ever; returns how many there were.

    They run after the commit; events of their aggregates that came later have taken effect already.
    """
    replayed = await session.execute(
        text(
            "UPDATE inbox SET state = 'waiting', attempts = 0, retry_at = now()"
            " WHERE event_id = ANY(:ids) AND state IN ('dead', 'parked') AND type IS NOT NULL"
            " RETURNING event_id"
        ).bindparams(_IDS),
        {"ids": list(event_ids)},
    )
    wake(session, BELL)
    return len(replayed.all())


async def drop(session: AsyncSession, event_ids: Sequence[UUID]) -> int:
    """Let these go without effect; returns how many there were. Their ids stay remembered."""
    dropped = await session.execute(
        text(
            "UPDATE inbox SET state = 'done', body = NULL, reason = 'dropped by ' || state"
            " WHERE event_id = ANY(:ids) AND state IN ('dead', 'parked') RETURNING event_id"
        ).bindparams(_IDS),
        {"ids": list(event_ids)},
    )
    return len(dropped.all())


async def collect(
    db: Database, *, amqp_url: str, queue: str, note: Note | None = None, limit: int = 10_000
) -> tuple[int, int]:
    """Move what waits in a dead letter queue into the inbox; returns how many, and how many wait.

    Each is acknowledged after its row is committed; `note` writes in the same transaction how many
    there are. Raises aio-pika's errors when the broker is away.
    """
    connection = await connect(amqp_url, purpose="collect dead letters")
    try:
        source = await (await connection.channel()).get_queue(queue, ensure=False)
        count, left = 0, 0
        while count < limit and (taken := await _take(source, min(_TOGETHER, limit - count))):
            async with db.transaction() as session:
                for message in taken:
                    await _adopt(session, message)
                if note:
                    await note(session, len(taken))
            crash.point("dead_letters.after_commit_before_ack")
            await taken[-1].ack(multiple=True)
            count += len(taken)
            left = taken[-1].message_count or 0
        return count, left
    finally:
        await close(connection)


async def _take(source: AbstractQueue, most: int) -> list[AbstractIncomingMessage]:
    taken: list[AbstractIncomingMessage] = []
    while len(taken) < most and (message := await source.get(fail=False)) is not None:
        taken.append(message)
    return taken


async def _adopt(session: AsyncSession, message: AbstractIncomingMessage) -> None:
    deaths = message.headers.get("x-death")
    death = deaths[0] if isinstance(deaths, list) and deaths else {}
    story: dict[str, Any] = death if isinstance(death, dict) else {}
    envelope = _event_of(message, story)
    await session.execute(
        _ADOPT,
        {
            "id": envelope.id if envelope else uuid5(_NO_EVENT, message.body.hex()),
            "aggregate": envelope.subject if envelope else "refused",
            "now": clock.now(),
            "type": envelope.type if envelope else None,
            "body": message.body,
            "sender": message.user_id,
            "reason": str(story.get("reason", "dead-lettered")).replace("_", "-"),
        },
    )


def _event_of(message: AbstractIncomingMessage, story: dict[str, Any]) -> Envelope | None:
    """The event, if it may be replayed: a fact that its routing key bears out, and not rejected.

    What the consumer rejected - unreadable, a stranger's, a forgery - keeps no id and no type: it can
    be looked at and dropped, and stands in no true event's way. Commands and answers are repeated by
    whoever gave them.
    """
    keys = story.get("routing-keys") or [""]
    if story.get("reason") == "rejected" or story.get("exchange") != Kind.FACT:
        return None
    try:
        envelope = Envelope.model_validate_json(message.body)
    except ValidationError:
        return None
    return envelope if envelope.type == f"{TYPE_PREFIX}.{keys[0]}" else None
