"""Where erasures stand."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, true, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock
from services.privacy.models import Erasure, ErasureAlias, Refusal, Step, Waiver
from services.privacy.queries.participants import active_participants
from services.privacy.schemas.erasures import (
    Counts,
    ErasureState,
    ErasureSummary,
    ErasureView,
    StepView,
)
from services.privacy.schemas.waivers import WaiverView


def state_of(erasure: Erasure, *, escalated: bool) -> ErasureState:
    """Completed when certified, escalated when the DPO was told of an open step or it is late."""
    if erasure.completed_at is not None:
        return "completed"
    return "escalated" if escalated or clock.now() > erasure.due_by else "open"


async def erasure(session: AsyncSession, *, erasure_id: UUID) -> Erasure | None:
    """The erasure of that id, or that a wish of that id follows; the door has checked key or role."""
    followed = select(col(ErasureAlias.erasure_id)).where(col(ErasureAlias.alias_id) == erasure_id)
    found: Erasure | None = await session.scalar(
        select(Erasure).where(
            col(Erasure.erasure_id) == func.coalesce(followed.scalar_subquery(), erasure_id)
        )
    )
    return found


async def erasure_view(session: AsyncSession, *, found: Erasure, asked_as: UUID) -> ErasureView:
    """An erasure with its steps; before the broadcast, those who will take part.

    `asked_as`: the id under which the caller follows it.
    """
    steps = (
        await session.execute(
            select(Step, Waiver)
            .outerjoin(
                Waiver,
                (col(Waiver.erasure_id) == col(Step.erasure_id))
                & (col(Waiver.participant) == col(Step.participant)),
            )
            .where(col(Step.erasure_id) == found.erasure_id)
            .order_by(col(Step.participant))
        )
    ).all()
    views = [_step_view(step, waiver) for step, waiver in steps] or [
        StepView(participant=name) for name in await active_participants(session)
    ]
    state = state_of(
        found, escalated=any(step.escalated for step, _ in steps if step.outcome is None)
    )
    return ErasureView(
        erasure_id=asked_as,
        state=state,
        requested_at=found.requested_at,
        completed_at=found.completed_at,
        due_by=found.due_by,
        steps=views,
        certificate=f"/api/privacy/certificates/{asked_as}" if state == "completed" else None,
    )


def _step_view(step: Step, waiver: Waiver | None) -> StepView:
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
        due_by=step.due_by,
        escalated=step.escalated,
        waiver=WaiverView.model_validate(waiver) if waiver else None,
    )


async def erasures(
    session: AsyncSession,
    *,
    completed: bool | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[ErasureSummary]:
    """The DPO's list: what is not completed by the time left, anything else newest first."""
    due = completed is False
    first = col(Erasure.due_by) if due else col(Erasure.requested_at)
    key = tuple_(first, col(Erasure.erasure_id))
    still_open = (
        select(func.array_agg(col(Step.participant)), func.max(col(Step.escalated)))
        .where(col(Step.erasure_id) == col(Erasure.erasure_id), col(Step.outcome).is_(None))
        .lateral()
    )
    statement = (
        select(Erasure, *still_open.columns)
        .join(still_open, true())
        .order_by(key if due else key.desc())
        .limit(limit)
    )
    if completed is not None:
        ended = col(Erasure.completed_at)
        statement = statement.where(ended.is_not(None) if completed else ended.is_(None))
    if after is not None:
        statement = statement.where(key > after if due else key < after)
    return [
        ErasureSummary(
            erasure_id=found.erasure_id,
            state=state_of(found, escalated=bool(escalated)),
            reason=found.reason,
            requested_at=found.requested_at,
            completed_at=found.completed_at,
            due_by=found.due_by,
            open_steps=sorted(missing or []),
        )
        for found, missing, escalated in await session.execute(statement)
    ]


async def refusals(session: AsyncSession, *, limit: int) -> Sequence[Refusal]:
    """The newest answers that proved nothing."""
    found = await session.scalars(
        select(Refusal).order_by(col(Refusal.refused_at).desc()).limit(limit)
    )
    return found.all()
