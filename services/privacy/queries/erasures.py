"""Where erasures stand."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock
from services.privacy.models import Erasure, Refusal, Step
from services.privacy.queries.participants import active_participants
from services.privacy.schemas.erasures import (
    Counts,
    ErasureState,
    ErasureSummary,
    ErasureView,
    StepView,
)


def state_of(erasure: Erasure) -> ErasureState:
    """Completed when proven, escalated when late, else open."""
    if erasure.completed_at is not None:
        return "completed"
    return "escalated" if clock.now() > erasure.due_by else "open"


async def erasure(session: AsyncSession, *, erasure_id: UUID) -> Erasure | None:
    """An erasure; the door has checked the caller's key or role."""
    return await session.get(Erasure, erasure_id)


async def erasure_view(session: AsyncSession, *, found: Erasure) -> ErasureView:
    """An erasure with its steps; before the broadcast, those who will take part."""
    steps = (
        await session.scalars(
            select(Step)
            .where(col(Step.erasure_id) == found.erasure_id)
            .order_by(col(Step.participant))
        )
    ).all()
    views = [_step_view(step) for step in steps] or [
        StepView(participant=name) for name in await active_participants(session)
    ]
    state = state_of(found)
    return ErasureView(
        erasure_id=found.erasure_id,
        state=state,
        requested_at=found.requested_at,
        completed_at=found.completed_at,
        due_by=found.due_by,
        steps=views,
        certificate=f"/api/privacy/certificates/{found.erasure_id}"
        if state == "completed"
        else None,
    )


def _step_view(step: Step) -> StepView:
    counts = None
    if step.tables is not None:
        counts = Counts(
            deleted=sum(table["deleted"] for table in step.tables.values()),
            detached=sum(table["detached"] for table in step.tables.values()),
            kept=sum(kept["rows"] for table in step.tables.values() for kept in table["kept"]),
        )
    return StepView(
        participant=step.participant,
        outcome=step.outcome,
        counts=counts,
        acknowledged_at=step.acknowledged_at,
    )


async def erasures(
    session: AsyncSession, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[ErasureSummary]:
    """The DPO's list, newest first."""
    key = tuple_(col(Erasure.requested_at), col(Erasure.erasure_id))
    open_steps = (
        select(func.array_agg(col(Step.participant)))
        .where(col(Step.erasure_id) == col(Erasure.erasure_id), col(Step.outcome).is_(None))
        .scalar_subquery()
    )
    statement = select(Erasure, open_steps).order_by(key.desc()).limit(limit)
    if after is not None:
        statement = statement.where(key < after)
    return [
        ErasureSummary(
            erasure_id=found.erasure_id,
            state=state_of(found),
            reason=found.reason,
            requested_at=found.requested_at,
            completed_at=found.completed_at,
            open_steps=sorted(missing or []),
        )
        for found, missing in await session.execute(statement)
    ]


async def refusals(session: AsyncSession, *, limit: int) -> Sequence[Refusal]:
    """The newest answers that proved nothing."""
    found = await session.scalars(
        select(Refusal).order_by(col(Refusal.refused_at).desc()).limit(limit)
    )
    return found.all()
