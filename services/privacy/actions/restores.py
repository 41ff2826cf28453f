"""After a restore: what this database lacks of the ledger, taken in again from its copy.

The copy decides. What it holds was, or may have been, broadcast; what is reserved here and stands
nowhere in it was not, and can give way. So no position ever has two entries.
"""

from collections.abc import Sequence
from uuid import UUID

import structlog
from sqlalchemy import BigInteger, delete, exists, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid
from sqlmodel import col

from chassis import clock, subjects
from chassis.evidence import digest
from chassis.ledger import LedgerConflictError, Sealed
from services.privacy.actions import broadcasts
from services.privacy.models import Broadcast, Erasure, Step

log = structlog.get_logger()


async def lacking(session: AsyncSession, *, known: int, limit: int) -> Sequence[int]:
    """Positions of the copy that have no row here, rising."""
    wanted = func.generate_series(1, known, type_=BigInteger).column_valued("wanted")
    found = await session.scalars(
        select(wanted)
        .where(~select(Broadcast).where(col(Broadcast.position) == wanted).exists())
        .order_by(wanted)
        .limit(limit)
    )
    return found.all()


async def is_behind(session: AsyncSession, *, known: int) -> bool:
    """Whether the copy goes further than what is reserved here.

    Then the database went back while a process was writing an entry, after it was compared.
    """
    last = await session.scalar(select(func.max(col(Broadcast.position))))
    return (last or 0) < known


async def take_in(session: AsyncSession, sealed: Sealed) -> None:
    """Give the position the entry of the copy; it waits to be sent again, and chased.

    People for whom another entry was reserved there wait for the next one; nobody was asked by it, so
    that whoever takes part is told by the entry of the copy. Raises `LedgerConflictError` when another
    entry was broadcast from here.
    """
    command = sealed.command()
    await session.execute(
        delete(Step).where(
            col(Step.position) == sealed.position,
            col(Step.outcome).is_(None),
            exists().where(
                col(Broadcast.position) == sealed.position,
                col(Broadcast.sent_at).is_(None),
                col(Broadcast.entry_hash) != sealed.entry_hash,
            ),
        )
    )
    values = {
        "broadcast_id": command.broadcast_id,
        "entry": dict(sealed.entry),
        "entry_hash": sealed.entry_hash,
        "reserved_at": sealed.at,
    }
    taken = await session.scalar(
        insert(Broadcast)
        .values(position=sealed.position, chases=0, **values)
        .on_conflict_do_update(
            index_elements=["position"], set_=values, where=col(Broadcast.sent_at).is_(None)
        )
        .returning(col(Broadcast.position))
    )
    if taken is None:
        raise broadcast_otherwise(sealed.position)
    named = [subject.erasure_id for subject in command.subjects]
    await session.execute(
        update(Erasure)
        .where(col(Erasure.position) == sealed.position, col(Erasure.erasure_id).not_in(named))
        .values(position=None)
    )
    await adopt(session, position=sealed.position)


def broadcast_otherwise(position: int) -> LedgerConflictError:
    """The one conflict that no program may settle, and what to do about it."""
    return LedgerConflictError(
        f"position {position} was broadcast from this database with another entry than the ledger "
        "copy holds: one of them was changed by hand. `ccib verify-ledger` shows where they differ; "
        "restore whichever is wrong from its own backup"
    )


async def hash_if_sent(session: AsyncSession, *, position: int) -> str | None:
    """The hash of what was broadcast at that position from here."""
    return await session.scalar(
        select(col(Broadcast.entry_hash)).where(
            col(Broadcast.position) == position, col(Broadcast.sent_at).is_not(None)
        )
    )


async def chain_again(session: AsyncSession, *, known: int, head: str) -> None:
    """Let what is reserved beyond the copy follow its last entry; nobody has seen it yet."""
    beyond = await session.scalars(
        select(Broadcast).where(col(Broadcast.position) > known).order_by(col(Broadcast.position))
    )
    for broadcast in beyond:
        if broadcast.sent_at is not None:
            raise broadcast_otherwise(broadcast.position)
        if broadcast.entry["previous_hash"] != head:
            broadcast.entry = {**broadcast.entry, "previous_hash": head}
            broadcast.entry_hash = digest(broadcast.entry)
        head = broadcast.entry_hash


_NAMED = """
    SELECT (named ->> 'erasure_id')::uuid AS erasure_id, (named ->> 'subject_id')::uuid AS subject_id,
           entry, position
    FROM broadcast, jsonb_array_elements(entry -> 'subjects') AS named
    WHERE position = :position
"""
# Each person with each participant; of people who follow another position, that one sees to it.
_WHOLE = text(
    f"""
    WITH asked AS MATERIALIZED (
        SELECT jsonb_array_elements_text(entry -> 'participants') AS name
        FROM broadcast WHERE position = :position
    )
    SELECT NOT EXISTS (
        SELECT FROM ({_NAMED}) AS named
        LEFT JOIN erasure ON erasure.erasure_id = named.erasure_id
        WHERE erasure.position IS NULL
           OR NOT EXISTS (SELECT FROM step WHERE step.erasure_id = named.erasure_id)
           OR erasure.position = :position AND EXISTS (
               SELECT FROM asked WHERE NOT EXISTS (
                   SELECT FROM step
                   WHERE step.erasure_id = named.erasure_id AND step.participant = asked.name
               )
           )
    )
    """  # noqa: S608 - constants only
)
_PEOPLE = text(f"SELECT subject_id FROM ({_NAMED}) AS named").columns(subject_id=Uuid)  # noqa: S608
_KNOW = text(
    f"""
    INSERT INTO erasure (erasure_id, subject_id, reason, requested_at, due_by, position)
    SELECT erasure_id, subject_id, entry ->> 'reason', (entry ->> 'at')::timestamptz,
           (entry ->> 'due_by')::timestamptz, position
    FROM ({_NAMED}) AS named
    ON CONFLICT DO NOTHING
    """  # noqa: S608 - constants only
)
_PLACE = text(
    f"""
    UPDATE erasure SET position = named.position FROM ({_NAMED}) AS named
    WHERE erasure.erasure_id = named.erasure_id AND erasure.position IS NULL
    """  # noqa: S608 - constants only
)
_FORGOTTEN = text(
    """
    SELECT named.name
    FROM broadcast, jsonb_array_elements_text(entry -> 'participants') AS named (name)
    WHERE position = :position
      AND NOT EXISTS (SELECT FROM participant WHERE participant.name = named.name)
    """
)


async def adopt(session: AsyncSession, *, position: int) -> bool:
    """Make sure that everybody whom an entry names has an erasure here with its steps.

    Returns False for now when a person has another erasure under way, which must end first, or when
    a participant that was named is not registered any more and must be admitted again.
    """
    where = {"position": position}
    if await session.scalar(_WHOLE, where):
        return True
    people: list[UUID] = list(await session.scalars(_PEOPLE, where))
    await subjects.ensure(session, *people)
    await session.execute(_KNOW, where)
    await session.execute(_PLACE, where)
    if forgotten := list(await session.scalars(_FORGOTTEN, where)):
        log.error("participants_to_admit_again", position=position, participants=forgotten)
        return False
    await broadcasts.freeze(session, position=position, now=clock.now())
    return bool(await session.scalar(_WHOLE, where))
