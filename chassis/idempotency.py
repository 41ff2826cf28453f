"""`Idempotency-Key`: a repeated creation answers with what the first one created.

Key, request hash and resource id are kept 24 hours with the person, never a body.
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Request
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import clock
from chassis.errors import IdempotencyKeyReusedError
from chassis.ids import new_id
from chassis.tables import data_subject, idempotency_key

KEPT_FOR = timedelta(hours=24)

KeyHeader = Annotated[str | None, Header(alias="Idempotency-Key", pattern=r"^[\x21-\x7e]{1,255}$")]


@dataclass(frozen=True)
class Attempt:
    """The key of a request, if it has one, and the hash of what it asks."""

    key: str | None
    request_hash: str


@dataclass(frozen=True)
class Claim:
    """The id of the resource; `fresh` when it is still to be created."""

    resource_id: UUID
    fresh: bool


async def attempt(request: Request, key: KeyHeader = None) -> Attempt:
    """Dependency: reads the header and hashes method, path and body."""
    material = b"\n".join(
        (request.method.encode(), request.url.path.encode(), await request.body())
    )
    return Attempt(key=key, request_hash=hashlib.sha256(material).hexdigest())


AttemptDep = Annotated[Attempt, Depends(attempt)]


async def claim(session: AsyncSession, attempted: Attempt, *, person_id: UUID) -> Claim:
    """Take the key for this transaction, or find what it created before.

    Raises `IdempotencyKeyReusedError` when the key came with another request.
    """
    resource_id = new_id()
    if attempted.key is None:
        return Claim(resource_id, fresh=True)
    await session.execute(insert(data_subject).values(id=person_id).on_conflict_do_nothing())
    taken = await session.scalar(
        insert(idempotency_key)
        .values(
            person_id=person_id,
            key=attempted.key,
            request_hash=attempted.request_hash,
            resource_id=resource_id,
            created_at=clock.now(),
        )
        .on_conflict_do_nothing()
        .returning(idempotency_key.c.resource_id)
    )
    if taken is not None:
        return Claim(resource_id, fresh=True)
    earlier = (
        await session.execute(
            select(idempotency_key.c.request_hash, idempotency_key.c.resource_id).where(
                idempotency_key.c.person_id == person_id, idempotency_key.c.key == attempted.key
            )
        )
    ).one()
    if earlier.request_hash != attempted.request_hash:
        raise IdempotencyKeyReusedError(
            "Cette clé a déjà servi pour une autre demande : utilisez une nouvelle clé."
        )
    return Claim(earlier.resource_id, fresh=False)


async def prune(session: AsyncSession) -> None:
    """Forget keys older than 24 hours."""
    await session.execute(
        delete(idempotency_key).where(idempotency_key.c.created_at < clock.now() - KEPT_FOR)
    )
