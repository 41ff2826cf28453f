"""Reads of privacy."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock
from chassis.auth import Principal
from services.privacy.models import (
    Consent,
    Erasure,
    Manifest,
    Notice,
    Participant,
    Refusal,
    Step,
)
from services.privacy.schemas import (
    Counts,
    ErasureState,
    ErasureSummary,
    ErasureView,
    HeldData,
    Processing,
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


async def active_participants(session: AsyncSession) -> list[str]:
    """Names of those who take part in the next broadcast."""
    found = await session.scalars(
        select(col(Participant.name)).where(col(Participant.active)).order_by(col(Participant.name))
    )
    return list(found)


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


async def participants(session: AsyncSession) -> Sequence[Participant]:
    """Every participant, services first."""
    found = await session.scalars(
        select(Participant).order_by(col(Participant.kind).desc(), col(Participant.name))
    )
    return found.all()


async def refusals(session: AsyncSession, *, limit: int) -> Sequence[Refusal]:
    """The newest answers that proved nothing."""
    found = await session.scalars(
        select(Refusal).order_by(col(Refusal.refused_at).desc()).limit(limit)
    )
    return found.all()


async def notice_in_force(session: AsyncSession) -> Notice | None:
    """The newest notice whose time has come."""
    found: Notice | None = await session.scalar(
        select(Notice)
        .where(col(Notice.in_force_from) <= clock.now())
        .order_by(col(Notice.in_force_from).desc())
        .limit(1)
    )
    return found


async def consents(session: AsyncSession, *, viewer: Principal) -> Sequence[Consent]:
    """What the caller agreed to."""
    found = await session.scalars(
        select(Consent)
        .where(col(Consent.person_id) == viewer.account_id)
        .order_by(col(Consent.given_at))
    )
    return found.all()


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


def processing(manifests: Sequence[dict[str, Any]]) -> list[Processing]:
    """What the services declare to hold, one entry per table and way of naming a person."""
    lines: list[Processing] = []
    for manifest in manifests:
        for table, declared in sorted(manifest["tables"].items()):
            for column, subject in declared["subjects"].items():
                hold = subject.get("hold")
                lines.append(
                    Processing(
                        service=manifest["service"],
                        table=table,
                        purpose=subject["purpose"],
                        basis=subject["basis"],
                        recipients=subject["recipients"],
                        retention=subject["retention"],
                        fate=subject["fate"],
                        kept_under=hold["source"] if hold else None,
                        data=[
                            HeldData(
                                label=data["label"],
                                category=data["category"],
                                mandatory=data["mandatory"],
                            )
                            for data in declared["columns"].values()
                            if data["kind"] == "personal" and data["of"] == column
                        ],
                    )
                )
    return lines
