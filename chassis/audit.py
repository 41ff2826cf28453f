"""Who did what to the running of the platform: one row per act, in the transaction of its effect.

What somebody does to content is the business of the services' own tables; this is about operators and
the DPO: dead letters, parked events, participants. It holds opaque ids, counts and names of systems.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import clock, subjects
from chassis.ids import new_id
from chassis.tables import operator_action

KEPT_FOR = timedelta(days=365)
"""As the declaration of the table says: long enough to look into last year's incident."""


class OperatorAction(NamedTuple):
    """Something that an operator, the DPO or the clock did; nobody is named once they are erased."""

    id: UUID
    person_id: UUID | None
    action: str
    about: dict[str, Any]
    done_at: datetime


async def note(session: AsyncSession, *, person_id: UUID | None, action: str, **about: Any) -> None:
    """Write down what this person, or the clock (None), does in this transaction.

    `action` is a slug such as `dead-letters.replay`; `about` opaque ids, counts, names of systems.
    """
    if person_id is not None:
        await subjects.ensure(session, person_id)
    await session.execute(
        insert(operator_action).values(
            id=new_id(), person_id=person_id, action=action, about=about, done_at=clock.now()
        )
    )


async def actions(
    session: AsyncSession, *, after: UUID | None, limit: int
) -> Sequence[OperatorAction]:
    """What was done, newest first; the door has checked the caller's role."""
    table = operator_action
    statement = select(
        table.c.id, table.c.person_id, table.c.action, table.c.about, table.c.done_at
    )
    if after is not None:
        statement = statement.where(table.c.id < after)
    found = await session.execute(statement.order_by(table.c.id.desc()).limit(limit))
    return [OperatorAction(*row) for row in found]


async def last(session: AsyncSession, action: str) -> OperatorAction | None:
    """The last time that somebody, or the clock, did that."""
    table = operator_action
    found = await session.execute(
        select(table.c.id, table.c.person_id, table.c.action, table.c.about, table.c.done_at)
        .where(table.c.action == action)
        .order_by(table.c.id.desc())
        .limit(1)
    )
    row = found.one_or_none()
    return OperatorAction(*row) if row else None


async def prune(session: AsyncSession) -> None:
    """Forget what was done more than a year ago."""
    await session.execute(
        delete(operator_action).where(operator_action.c.done_at < clock.now() - KEPT_FOR)
    )
