"""Who takes part, and what each declared."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.privacy.models import Manifest, Missed, Participant, Step
from services.privacy.schemas.participants import ParticipantKind, ParticipantView


async def active_participants(session: AsyncSession) -> list[str]:
    """Names of those who take part in the next broadcast."""
    found = await session.scalars(
        select(col(Participant.name)).where(col(Participant.active)).order_by(col(Participant.name))
    )
    return list(found)


async def participants(
    session: AsyncSession, *, name: str | None = None
) -> Sequence[ParticipantView]:
    """Every participant, or the one of that name, services first, with what it still owes."""
    owes = (
        select(func.count())
        .where(col(Step.participant) == col(Participant.name), col(Step.outcome).is_(None))
        .scalar_subquery()
    )
    missed = (
        select(func.count())
        .where(col(Missed.participant) == col(Participant.name), col(Missed.outcome).is_(None))
        .scalar_subquery()
    )
    statement = select(Participant, owes, missed).order_by(
        col(Participant.kind).desc(), col(Participant.name)
    )
    if name is not None:
        statement = statement.where(col(Participant.name) == name)
    return [
        ParticipantView(
            name=found.name,
            kind=ParticipantKind(found.kind),
            active=found.active,
            contact=found.contact,
            deadline_days=found.deadline_days,
            registered_at=found.registered_at,
            open_steps=open_steps,
            missed=unanswered,
        )
        for found, open_steps, unanswered in await session.execute(statement)
    ]


async def current_manifests(session: AsyncSession) -> dict[str, Manifest]:
    """The manifest that each service announced last."""
    found = await session.scalars(
        select(Manifest)
        .ext(distinct_on(col(Manifest.participant)))
        .order_by(col(Manifest.participant), col(Manifest.announced_at).desc())
    )
    return {manifest.participant: manifest for manifest in found}


async def manifests(
    session: AsyncSession, *, hashes: Collection[str | None]
) -> dict[str | None, dict[str, Any]]:
    """The manifests under which something was proven, by hash, whatever was announced since."""
    found = await session.scalars(select(Manifest).where(col(Manifest.manifest_hash).in_(hashes)))
    return {manifest.manifest_hash: manifest.manifest for manifest in found}
