"""A partner system that comes back is told of the erasures that it missed.

What it missed is what the ledger says: later entries than its registration that do not name it. So
nothing has to be noted when it leaves, and a look that was cut off is simply taken again. A partner
that is new cannot hold anybody who was erased before, and is told of nobody.
"""

from datetime import timedelta

from sqlalchemy import BigInteger, Interval, String, bindparam, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock, outbox
from chassis.db import wake
from chassis.ledger import Sealed
from chassis.tables import Instant
from contracts.privacy import Outcome, PartnerAcknowledged
from services.privacy.models import Broadcast, Missed

MISSED_BELL = "missed"
AT_ONCE = 10
"""Positions told in one go. Everybody hears them again, as when an open erasure is chased."""
_LOOKED_AT = 200
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(minutes=5), timedelta(days=1)

_NOTE = text(
    """
    WITH looked AS MATERIALIZED (  -- once: the entry is long
        SELECT name, later.position,
               coalesce(jsonb_exists(entry -> 'participants', name), true) AS asked
        FROM participant, LATERAL (
            SELECT position, entry FROM broadcast
            WHERE position > coalesce(
                looked_through,
                (SELECT max(position) FROM broadcast WHERE reserved_at < registered_at), 0)
              -- What is not sent yet may still get another entry, from the copy.
              AND position < coalesce(
                (SELECT min(position) FROM broadcast WHERE sent_at IS NULL), 9223372036854775807)
            ORDER BY position LIMIT :limit
        ) AS later
        WHERE kind = 'partner' AND active
    ),
    noted AS (
        INSERT INTO missed (erasure_id, participant, position, times, tell_at)
        SELECT erasure_id, name, looked.position, 0, :now
        FROM looked JOIN erasure ON erasure.position = looked.position WHERE NOT asked
        ORDER BY 1, 2 ON CONFLICT DO NOTHING
    ),
    far AS (SELECT name, max(position) AS position FROM looked GROUP BY name)
    UPDATE participant SET looked_through = far.position FROM far WHERE participant.name = far.name
    RETURNING participant.name
    """
).bindparams(bindparam("now", type_=Instant))

_TELL = text(
    """
    WITH due AS MATERIALIZED (
        SELECT DISTINCT position FROM missed JOIN participant ON name = participant
        WHERE outcome IS NULL AND tell_at <= :now AND active
        ORDER BY position LIMIT :limit
    ),
    told AS (
        UPDATE missed SET told_at = :now, times = times + 1,
            tell_at = :now + least(:first * 2 ^ least(times, 30), :longest)
        FROM participant
        WHERE missed.position IN (SELECT position FROM due)
          AND name = participant AND active AND outcome IS NULL
    )
    SELECT position FROM due ORDER BY position
    """
).bindparams(
    bindparam("now", type_=Instant),
    bindparam("first", type_=Interval),
    bindparam("longest", type_=Interval),
)

_CLOSE = text(
    """
    WITH answer AS (
        SELECT erasure_id, outcome FROM jsonb_to_recordset(CAST(:shown AS jsonb) -> 'subjects')
            AS said (erasure_id uuid, outcome text)
    ),
    told AS (
        SELECT missed.* FROM missed
        JOIN participant ON name = participant AND broker_user = :sender AND active
        JOIN broadcast ON broadcast.position = missed.position AND entry_hash = :entry_hash
        WHERE missed.position = :position
    )
    UPDATE missed SET outcome = answer.outcome, acknowledged_at = :now FROM answer
    WHERE missed.outcome IS NULL
      AND (missed.erasure_id, missed.participant) IN (
        SELECT told.erasure_id, told.participant FROM told WHERE told.erasure_id = answer.erasure_id)
      AND NOT EXISTS (  -- one that was not told voids the whole answer
        SELECT FROM answer AS other WHERE other.erasure_id NOT IN (SELECT erasure_id FROM told))
    """
).bindparams(
    bindparam("shown", type_=String),
    bindparam("sender", type_=String),
    bindparam("entry_hash", type_=String),
    bindparam("position", type_=BigInteger),
    bindparam("now", type_=Instant),
)


async def note(session: AsyncSession) -> bool:
    """Write down what partners that take part again have missed; whether there may be more."""
    looked = await session.scalars(_NOTE, {"now": clock.now(), "limit": _LOOKED_AT})
    return bool(looked.all())


async def begin_again(session: AsyncSession, *, participant: str) -> None:
    """Tell it at once of all that it has not answered: what waited in its queue went with the queue."""
    await session.execute(
        update(Missed)
        .where(col(Missed.participant) == participant, col(Missed.outcome).is_(None))
        .values(times=0, tell_at=clock.now())
    )
    wake(session, MISSED_BELL)


async def tell(session: AsyncSession) -> int:
    """Give the oldest commands again that somebody missed and has not answered; returns how many.

    Less and less often, until they are answered or their proof has gone.
    """
    positions = await session.scalars(
        _TELL,
        {
            "now": clock.now(),
            "limit": AT_ONCE,
            "first": _FIRST_PAUSE,
            "longest": _LONGEST_PAUSE,
        },
    )
    told = positions.all()
    for position in told:
        broadcast = await session.get_one(Broadcast, position)
        outbox.publish(session, Sealed(broadcast.entry, broadcast.entry_hash).command())
    return len(told)


async def answer(session: AsyncSession, said: PartnerAcknowledged, *, sender: str | None) -> None:
    """Note what a partner says of erasures that it missed; about others nothing happens.

    An answer that would prove nothing as a step's (`actions.answers`) says nothing here either. The
    first answer for a person counts.
    """
    named = [subject.erasure_id for subject in said.subjects]
    if len(set(named)) != len(named):
        return
    if any(subject.outcome is Outcome.WAIVED for subject in said.subjects):
        return
    await session.execute(
        _CLOSE,
        {
            "shown": said.model_dump_json(include={"subjects"}),
            "sender": sender,
            "entry_hash": said.entry_hash,
            "position": said.position,
            "now": clock.now(),
        },
    )
