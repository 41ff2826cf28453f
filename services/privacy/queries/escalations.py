"""Steps of which the DPO was told."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.privacy.models import Escalation, EscalationMail, Step
from services.privacy.schemas.escalations import EscalatedLevel, EscalatedStep

Place = tuple[datetime, UUID, str]
"""Where a page begins: deadline, erasure, participant."""


async def escalated_steps(
    session: AsyncSession, *, still_open: bool, after: Place | None, limit: int
) -> list[EscalatedStep]:
    """The least time left first; `still_open` leaves out what was ended since."""
    place = tuple_(col(Step.due_by), col(Step.erasure_id), col(Step.participant))
    statement = select(Step).where(col(Step.escalated) > 0).order_by(place).limit(limit)
    if still_open:
        statement = statement.where(col(Step.outcome).is_(None))
    if after is not None:
        statement = statement.where(place > after)
    steps = (await session.scalars(statement)).all()
    found: dict[tuple[UUID, str], list[EscalatedLevel]] = {
        (step.erasure_id, step.participant): [] for step in steps
    }
    rows = await session.execute(
        select(Escalation, col(EscalationMail.sent_at))
        .outerjoin(EscalationMail, col(EscalationMail.mail_id) == col(Escalation.mail_id))
        .where(tuple_(col(Escalation.erasure_id), col(Escalation.participant)).in_(found))
        .order_by(col(Escalation.level))
    )
    for escalation, mailed_at in rows:
        found[escalation.erasure_id, escalation.participant].append(
            EscalatedLevel(
                level=escalation.level,
                escalated_at=escalation.escalated_at,
                mailed_at=mailed_at,
            )
        )
    return [
        EscalatedStep(
            erasure_id=step.erasure_id,
            participant=step.participant,
            due_by=step.due_by,
            outcome=step.outcome,
            levels=found[step.erasure_id, step.participant],
        )
        for step in steps
    ]
