"""The permanent row per person that every personal row hangs on."""

from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid

# One parameter, however many they are: a statement of its own for each number would be compiled anew.
_ENSURE = text(
    "INSERT INTO data_subject (id) SELECT unnest(:people) ON CONFLICT DO NOTHING"
).bindparams(bindparam("people", type_=ARRAY(Uuid)))


async def ensure(session: AsyncSession, *people: UUID) -> None:
    """Make sure that these people have their row; an erased one keeps its tombstone."""
    if people:
        await session.execute(_ENSURE, {"people": sorted(set(people))})
