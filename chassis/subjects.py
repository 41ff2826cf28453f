"""The permanent row per person that every personal row hangs on."""

from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.tables import data_subject


async def ensure(session: AsyncSession, *people: UUID) -> None:
    """Make sure that these people have their row; an erased one keeps its tombstone."""
    if people:
        await session.execute(
            insert(data_subject)
            .values([{"id": person} for person in sorted(set(people))])
            .on_conflict_do_nothing()
        )
