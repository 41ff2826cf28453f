"""Ending steps that nobody will prove. The DPO decides, and the certificate says so."""

from uuid import UUID

from sqlalchemy import String, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid
from sqlmodel import col

from chassis import clock, subjects
from chassis.auth import Principal
from chassis.db import wake
from chassis.errors import NotFoundError
from chassis.tables import Instant
from services.privacy.actions.answers import COMPLETION_BELL
from services.privacy.errors import ParticipantTakesPartError, StepEndedError
from services.privacy.models import Participant, Step, Waiver
from services.privacy.schemas.waivers import NewWaiver

_WAIVE = """
    WITH open AS MATERIALIZED (
        SELECT erasure_id, participant FROM step
        WHERE outcome IS NULL AND participant = :participant {narrowed}
        ORDER BY erasure_id
        FOR UPDATE
    ), ended AS (
        UPDATE step SET outcome = 'waived' FROM open
        WHERE step.erasure_id = open.erasure_id AND step.participant = open.participant
    )
    INSERT INTO waiver (erasure_id, participant, reason, reference, waived_at, waived_by)
    SELECT erasure_id, participant, :reason, :reference, :now, :by FROM open
    RETURNING erasure_id
"""
_WAIVE_ALL, _WAIVE_ONE = (
    text(_WAIVE.format(narrowed=narrowed)).bindparams(
        bindparam("reference", type_=String),
        bindparam("now", type_=Instant),
        bindparam("by", type_=Uuid),
    )
    for narrowed in ("", "AND erasure_id = :erasure_id")
)


async def waive(
    session: AsyncSession, *, erasure_id: UUID, participant: str, wanted: NewWaiver, by: Principal
) -> Waiver:
    """End one open step; the same decision again changes nothing.

    Raises `NotFoundError`, and `StepEndedError` when it was proven or waived otherwise before.
    """
    await subjects.ensure(session, by.account_id)
    ended = await session.execute(
        _WAIVE_ONE, _decision(participant, wanted, by) | {"erasure_id": erasure_id}
    )
    fresh = ended.first() is not None
    step = await session.get(Step, (erasure_id, participant))
    if step is None:
        raise NotFoundError
    waiver = await session.get(Waiver, (erasure_id, participant))
    if step.outcome != "waived" or waiver is None:
        raise StepEndedError("Ce système a prouvé l'effacement : il n'y a rien à dispenser.")
    if (waiver.reason, waiver.reference) != (wanted.reason, wanted.reference):
        raise StepEndedError("Une dispense a déjà été décidée, pour un autre motif.")
    if fresh:
        wake(session, COMPLETION_BELL)
    return waiver


async def waive_all(
    session: AsyncSession, *, participant: str, wanted: NewWaiver, by: Principal
) -> int:
    """End every open step of a participant that was removed; returns how many there were.

    Two people see to it: an operator removes, the DPO waives. Raises `NotFoundError`, and
    `ParticipantTakesPartError` for one that was not removed.
    """
    active = await session.scalar(
        select(col(Participant.active))
        .where(col(Participant.name) == participant)
        .with_for_update(key_share=True)  # so that it is not admitted again in between
    )
    if active is None:
        raise NotFoundError
    if active:
        raise ParticipantTakesPartError("Un opérateur doit d'abord retirer ce système.")
    await subjects.ensure(session, by.account_id)
    ended = await session.execute(_WAIVE_ALL, _decision(participant, wanted, by))
    wake(session, COMPLETION_BELL)
    return len(ended.all())


def _decision(participant: str, wanted: NewWaiver, by: Principal) -> dict[str, object]:
    return {
        "participant": participant,
        "reason": wanted.reason.value,
        "reference": wanted.reference,
        "now": clock.now(),
        "by": by.account_id,
    }
