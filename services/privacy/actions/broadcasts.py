"""From a wish to a command on the bus: request, reserve, copy, send, chase.

The order is the promise. A position is reserved in the database, then written to the ledger copy
outside it, and only then broadcast: whatever is restored later, the copy knows who must be forgotten.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, String, TextClause, bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid
from sqlmodel import col

from chassis import clock, outbox, subjects
from chassis.db import wake
from chassis.evidence import digest
from chassis.ids import new_id
from chassis.ledger import NO_PREVIOUS
from chassis.tables import Instant
from contracts.privacy import MAX_BATCH, Erase, ErasureSubject, Reason
from services.privacy.models import (
    LAST_MESSAGE,
    LEVELS,
    Broadcast,
    Erasure,
    LastMessage,
    Participant,
    Step,
    one_month_after,
)

BROADCAST_BELL = "broadcast"
_FIRST_CHASE = timedelta(seconds=5)
_LONGEST_CHASE = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Somebody is to be forgotten."""

    erasure_id: UUID
    subject_id: UUID
    reason: Reason
    requested_at: datetime


async def request_erasure(
    session: AsyncSession,
    *,
    erasure_id: UUID,
    subject_id: UUID,
    reason: Reason,
    requested_at: datetime,
) -> None:
    """Take in one wish, as `request_erasures` does."""
    wish = Wish(
        erasure_id=erasure_id, subject_id=subject_id, reason=reason, requested_at=requested_at
    )
    await request_erasures(session, [wish])


async def request_erasures(session: AsyncSession, wishes: Sequence[Wish]) -> None:
    """Take in wishes, in this order; one that is known changes nothing.

    A further wish of somebody whose erasure is under way, or done, follows that one: the same state,
    the same certificate.
    """
    await subjects.ensure(session, *(wish.subject_id for wish in wishes))
    taken = set(await session.scalars(_FIRST_WISHES, _columns(wishes)))
    further = [wish for wish in wishes if wish.erasure_id not in taken]
    if further:
        await session.execute(_FURTHER_WISHES, _columns(further))
    wake(session, BROADCAST_BELL)


def _columns(wishes: Sequence[Wish]) -> dict[str, list[Any]]:
    return {
        "erasure_ids": [wish.erasure_id for wish in wishes],
        "subject_ids": [wish.subject_id for wish in wishes],
        "reasons": [wish.reason.value for wish in wishes],
        "requested_at": [wish.requested_at for wish in wishes],
        "due_by": [one_month_after(wish.requested_at) for wish in wishes],
    }


def _about_wishes(statement: str) -> TextClause:
    known: dict[str, Any] = {
        "erasure_ids": Uuid,
        "subject_ids": Uuid,
        "reasons": String,
        "requested_at": Instant,
        "due_by": Instant,
    }
    return text(statement).bindparams(
        *(bindparam(name, type_=ARRAY(of)) for name, of in known.items() if f":{name}" in statement)
    )


_FIRST_WISHES = _about_wishes(
    """
    INSERT INTO erasure (erasure_id, subject_id, reason, requested_at, due_by)
    SELECT wish.erasure_id, person.id, wish.reason, wish.requested_at, wish.due_by
    FROM unnest(:erasure_ids, :subject_ids, :reasons, :requested_at, :due_by) WITH ORDINALITY
        AS wish (erasure_id, subject_id, reason, requested_at, due_by, place)
    JOIN data_subject AS person ON person.id = wish.subject_id
    WHERE NOT EXISTS (
        SELECT FROM erasure AS known WHERE known.subject_id = person.id
          AND (known.completed_at IS NULL OR person.erased_at IS NOT NULL)
    )
    ORDER BY person.id, place  -- by person: two transactions cannot wait for each other
    ON CONFLICT DO NOTHING RETURNING erasure_id
    """
)
_FURTHER_WISHES = _about_wishes(
    """
    INSERT INTO erasure_alias (alias_id, erasure_id, requested_at)
    SELECT wish.erasure_id, followed.erasure_id, wish.requested_at
    FROM unnest(:erasure_ids, :subject_ids, :requested_at)
        AS wish (erasure_id, subject_id, requested_at),
    LATERAL (
        SELECT erasure_id FROM erasure WHERE erasure.subject_id = wish.subject_id
        ORDER BY completed_at DESC NULLS FIRST LIMIT 1
    ) AS followed
    WHERE NOT EXISTS (SELECT FROM erasure AS known WHERE known.erasure_id = wish.erasure_id)
    ORDER BY wish.erasure_id
    ON CONFLICT DO NOTHING
    """
)


async def waiting(session: AsyncSession) -> Sequence[Erasure]:
    """The next batch: the oldest waiting request, and those of the same reason behind it."""
    oldest = (
        select(col(Erasure.reason))
        .where(col(Erasure.position).is_(None))
        .order_by(col(Erasure.requested_at))
        .limit(1)
        .scalar_subquery()
    )
    found = await session.scalars(
        select(Erasure)
        .where(col(Erasure.position).is_(None), col(Erasure.reason) == oldest)
        .order_by(col(Erasure.requested_at), col(Erasure.erasure_id))
        .limit(MAX_BATCH)
    )
    return found.all()


async def reserve(
    session: AsyncSession, *, batch: Sequence[Erasure], sealed: Mapping[UUID, bytes]
) -> Broadcast:
    """Take the next position for these erasures and freeze who takes part.

    Only the broadcasting job calls this, one at a time. `sealed`: addresses by erasure, for the last
    message.
    """
    last = (
        await session.execute(
            select(col(Broadcast.position), col(Broadcast.entry_hash))
            .order_by(col(Broadcast.position).desc())
            .limit(1)
        )
    ).one_or_none()
    now = clock.now()
    position, broadcast_id = last.position + 1 if last else 1, new_id()
    entry = {
        "position": position,
        "previous_hash": last.entry_hash if last else NO_PREVIOUS,
        "broadcast_id": str(broadcast_id),
        "at": now.isoformat(),
        "due_by": min(erasure.due_by for erasure in batch).isoformat(),
        "reason": batch[0].reason,
        # So that a privacy that was restored knows whom it has forgotten to ask.
        "participants": list(
            await session.scalars(
                select(col(Participant.name))
                .where(col(Participant.active))
                .order_by(col(Participant.name))
            )
        ),
        "subjects": [
            {"erasure_id": str(erasure.erasure_id), "subject_id": str(erasure.subject_id)}
            for erasure in batch
        ],
    }
    broadcast = Broadcast(
        position=position,
        broadcast_id=broadcast_id,
        entry=entry,
        entry_hash=digest(entry),
        reserved_at=now,
    )
    session.add(broadcast)
    await session.flush()
    await session.execute(
        update(Erasure)
        .where(col(Erasure.erasure_id).in_([erasure.erasure_id for erasure in batch]))
        .values(position=broadcast.position)
    )
    await freeze(session, position=position, now=now)
    if sealed:
        await session.execute(
            upsert(LastMessage)
            .values(
                [
                    _last_message(erasure, sealed[erasure.erasure_id], now)
                    for erasure in batch
                    if erasure.erasure_id in sealed
                ]
            )
            .on_conflict_do_nothing()
        )
    return broadcast


def _last_message(erasure: Erasure, sealed_address: bytes, now: datetime) -> dict[str, Any]:
    return {
        "erasure_id": erasure.erasure_id,
        "subject_id": erasure.subject_id,
        "sealed_address": sealed_address,
        "destroy_at": now + timedelta(days=LAST_MESSAGE.days or 0),
        "attempts": 0,
        "due_at": now,
    }


async def freeze(session: AsyncSession, *, position: int, now: datetime) -> None:
    """Write down who takes part, for each person of a broadcast, and by when; later ones are not asked.

    The entry decides: a restored database may hold a partner for gone that had come back by then.
    """
    await session.execute(_FREEZE, {"position": position, "now": now, "levels": LEVELS})


_FREEZE = text(
    """
    WITH asked AS MATERIALIZED (  -- once: the entry is long, and the people are many
        SELECT name, deadline_days FROM participant, broadcast WHERE position = :position
          AND coalesce(jsonb_exists(entry -> 'participants', name), active)
    )
    INSERT INTO step (erasure_id, participant, position, due_by, escalate_at)
    SELECT erasure.erasure_id, asked.name, :position, due.by, :now + (due.by - :now) / :levels
    FROM erasure CROSS JOIN asked, LATERAL (
        SELECT least(erasure.due_by, :now + make_interval(days => asked.deadline_days)) AS by
    ) AS due
    WHERE erasure.position = :position
    ON CONFLICT (erasure_id, participant) DO UPDATE SET position = excluded.position
    """
).bindparams(bindparam("position", type_=BigInteger), bindparam("now", type_=Instant))


async def unsent(session: AsyncSession) -> Sequence[Broadcast]:
    """Positions that are reserved but not broadcast, in order: also those a crash left behind."""
    found = await session.scalars(
        select(Broadcast).where(col(Broadcast.sent_at).is_(None)).order_by(col(Broadcast.position))
    )
    return found.all()


async def send(session: AsyncSession, *, position: int, entry_hash: str) -> None:
    """Broadcast a position whose ledger copy is written, with that hash.

    Nothing happens when another entry is reserved here: the database went back while it was written.
    """
    broadcast = await session.get(Broadcast, position, with_for_update=True)
    if broadcast is None or broadcast.sent_at is not None or broadcast.entry_hash != entry_hash:
        return
    now = clock.now()
    broadcast.sent_at = now
    broadcast.chase_at = now + _FIRST_CHASE
    outbox.publish(session, _command(broadcast))


async def chase(session: AsyncSession) -> int:
    """Send again what somebody has not answered, less and less often; returns how many positions."""
    now = clock.now()
    late = (
        await session.scalars(
            select(Broadcast)
            .where(col(Broadcast.chase_at) <= now)
            .order_by(col(Broadcast.chase_at))
            .limit(50)
            .with_for_update(skip_locked=True)
        )
    ).all()
    if not late:
        return 0
    open_positions = set(
        await session.scalars(
            select(func.distinct(col(Step.position))).where(
                col(Step.position).in_([broadcast.position for broadcast in late]),
                col(Step.outcome).is_(None),
            )
        )
    )
    for broadcast in late:
        if broadcast.position not in open_positions:
            broadcast.chase_at = None
            continue
        broadcast.chases += 1
        broadcast.chase_at = now + min(_FIRST_CHASE * 2**broadcast.chases, _LONGEST_CHASE)
        outbox.publish(session, _command(broadcast))
    return len(open_positions)


def _command(broadcast: Broadcast) -> Erase:
    return Erase(
        broadcast_id=broadcast.broadcast_id,
        position=broadcast.position,
        entry_hash=broadcast.entry_hash,
        due_by=datetime.fromisoformat(broadcast.entry["due_by"]),
        reason=Reason(broadcast.entry["reason"]),
        subjects=tuple(
            ErasureSubject.model_validate(subject) for subject in broadcast.entry["subjects"]
        ),
    )
