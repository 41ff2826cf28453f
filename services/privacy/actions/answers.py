"""Judging what participants answer. Nothing but proof closes a step.

A bad answer raises nothing: it is recorded as a refusal, the step stays open and is chased.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from prometheus_client import Counter
from pydantic import ValidationError
from sqlalchemy import (
    BigInteger,
    Exists,
    ScalarSelect,
    String,
    bindparam,
    delete,
    exists,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid
from sqlmodel import col

from chassis import clock
from chassis.db import wake
from chassis.evidence import SignatureError, digest, public_key, verify
from chassis.ids import new_id
from contracts.privacy import (
    ErasureAcknowledged,
    ManifestAnnounced,
    Outcome,
    PartnerAcknowledged,
    SubjectEvidence,
    TableEvidence,
)
from services.privacy.models import (
    Broadcast,
    Erasure,
    Manifest,
    Participant,
    Refusal,
    Step,
)
from services.privacy.queries.participants import Declared, declared_tables
from services.privacy.schemas.participants import DeclaredManifest, ParticipantKind

log = structlog.get_logger()

COMPLETION_BELL = "completion"

REFUSALS_KEPT_FOR = timedelta(days=365)
_CLOCKS = timedelta(days=1)
"""How far the clocks of participants may be from ours when they say until when something stays."""

refusals = Counter("erasure_answers_refused", "Answers that proved nothing", ["cause"])
uncalled = Counter(
    "erasure_answers_uncalled", "Answers of participants who came after the broadcast"
)


class _RefusedError(Exception):
    """Why an answer proves nothing: a slug of a closed list."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


async def announce_manifest(
    session: AsyncSession,
    announced: ManifestAnnounced,
    *,
    sender: str | None,
    statement: Mapping[str, Any],
) -> None:
    """Keep what a service declares to hold, if it is the service that says so."""
    try:
        participant = await session.get(Participant, announced.participant)
        _is_signed_by_sender(participant, sender, statement)
        if digest(announced.manifest) != announced.manifest_hash:
            raise _RefusedError("another-hash")
        _describes(announced.manifest, announced.participant)
    except _RefusedError as refused:
        await _refuse(session, refused.cause, sender=sender, position=None)
        return
    await session.execute(
        insert(Manifest)
        .values(
            participant=announced.participant,
            manifest_hash=announced.manifest_hash,
            manifest=announced.manifest,
            announced_at=clock.now(),
        )
        .on_conflict_do_update(
            index_elements=["participant", "manifest_hash"], set_={"announced_at": clock.now()}
        )
    )


async def acknowledge(
    session: AsyncSession,
    answer: ErasureAcknowledged,
    *,
    sender: str | None,
    statement: Mapping[str, Any],
) -> None:
    """Close a service's steps, for the people of whom it shows complete, signed evidence."""
    try:
        asked = await session.execute(
            select(Participant, _known_entry(answer.position), _is_announced(answer.manifest_hash))
            .where(col(Participant.name) == answer.participant)
        )  # fmt: skip
        participant, entry_hash, announced = asked.one_or_none() or (None, None, False)
        who = _is_signed_by_sender(participant, sender, statement)
        _is_known_entry(entry_hash, answer.entry_hash)
        if not announced:
            raise _RefusedError("unknown-manifest")
        declared = await declared_tables(session, manifest_hash=answer.manifest_hash)
        for evidence in answer.subjects:
            _complete(evidence, declared)
        await _close(
            session,
            participant=who,
            position=answer.position,
            manifest_hash=answer.manifest_hash,
            erasure_ids=[subject.erasure_id for subject in answer.subjects],
            shown=answer.model_dump_json(include={"subjects"}),
        )
    except _RefusedError as refused:
        await _refuse(session, refused.cause, sender=sender, position=answer.position)


async def acknowledge_as_partner(
    session: AsyncSession, answer: PartnerAcknowledged, *, sender: str | None
) -> None:
    """Close a partner's steps on its word, which the broker vouches is its own."""
    try:
        participant = await session.scalar(
            select(Participant).where(col(Participant.broker_user) == sender)
        )
        if participant is None or participant.kind != ParticipantKind.PARTNER:
            raise _RefusedError("stranger")
        known = await session.scalar(select(_known_entry(answer.position)))
        _is_known_entry(known, answer.entry_hash)
        if any(subject.outcome is Outcome.WAIVED for subject in answer.subjects):
            raise _RefusedError("outcome-not-its-own")
        await _close(
            session,
            participant=participant,
            position=answer.position,
            manifest_hash=None,
            erasure_ids=[subject.erasure_id for subject in answer.subjects],
            shown=answer.model_dump_json(include={"subjects"}),
        )
    except _RefusedError as refused:
        await _refuse(session, refused.cause, sender=sender, position=answer.position)


def _is_signed_by_sender(
    participant: Participant | None, sender: str | None, statement: Mapping[str, Any]
) -> Participant:
    """The service, if the broker says that it speaks and its key has signed the statement."""
    if participant is None or participant.public_key is None or not participant.active:
        raise _RefusedError("stranger")
    if participant.broker_user != sender:
        raise _RefusedError("foreign-sender")
    unsigned = {key: value for key, value in statement.items() if key != "signature"}
    try:
        verify(unsigned, str(statement.get("signature", "")), public_key(participant.public_key))
    except SignatureError:
        raise _RefusedError("bad-signature") from None
    return participant


def _describes(manifest: Mapping[str, Any], service: str) -> None:
    try:
        declared = DeclaredManifest.model_validate(manifest)
    except ValidationError:
        raise _RefusedError("malformed-manifest") from None
    if declared.service != service:
        raise _RefusedError("malformed-manifest")


def _known_entry(position: int) -> ScalarSelect[str]:
    """The hash of that entry. Also one that is not sent yet: the ledger copy may have told it."""
    return (
        select(col(Broadcast.entry_hash))
        .where(col(Broadcast.position) == position)
        .scalar_subquery()
    )


def _is_known_entry(known: str | None, told: str) -> None:
    if known != told:
        raise _RefusedError("unknown-position" if known is None else "another-entry")


def _is_announced(manifest_hash: str) -> Exists:
    return exists().where(
        col(Manifest.participant) == col(Participant.name),
        col(Manifest.manifest_hash) == manifest_hash,
    )


def _complete(evidence: SubjectEvidence, declared: Mapping[str, Declared]) -> None:
    """Every declared table is accounted for as it was declared, and the outcome is what counts say."""
    if evidence.tables.keys() != declared.keys():
        raise _RefusedError("incomplete-evidence")
    for name, shown in evidence.tables.items():
        _as_declared(shown, declared[name])
    if evidence.outcome is not _outcome(evidence.tables.values()):
        raise _RefusedError("outcome-against-counts")


def _as_declared(shown: TableEvidence, declared: Declared) -> None:
    """Rows went the way that the table's declarations name, and stay no longer than they say."""
    for rows, fate in ((shown.deleted, "delete"), (shown.detached, "detach")):
        if rows and not declared.fates & {fate, "shared"}:
            raise _RefusedError("undeclared-fate")
    for kept in shown.kept:
        if kept.rule not in declared.holds:
            raise _RefusedError("undeclared-hold")
        if (days := declared.holds[kept.rule]) is not None:
            latest = clock.now() + timedelta(days=days) + _CLOCKS
            if kept.until is None or kept.until.tzinfo is None or kept.until > latest:
                raise _RefusedError("held-too-long")


def _outcome(tables: Any) -> Outcome:
    rows: Sequence[TableEvidence] = list(tables)
    if any(kept.rows for table in rows for kept in table.kept):
        return Outcome.KEPT_UNDER_HOLD
    if any(table.deleted or table.detached for table in rows):
        return Outcome.ERASED
    return Outcome.NOTHING_HELD


# All of it, or none: the count comes first, and refuses somebody twice as well. Nothing here is joined, and nothing correlated: without
# statistics, as after a restore, the planner takes every table for empty, and a broadcast of five
# hundred would cost their square. The person's other steps are looked at without this one, which the
# statement does not yet see as it leaves it.
_CLOSE = text(
    """
    WITH answer AS MATERIALIZED (
        SELECT jsonb_object_agg(subject ->> 'erasure_id', subject) AS by_id
        FROM jsonb_array_elements(CAST(:shown AS jsonb) -> 'subjects') AS subject
    )
    UPDATE step
    SET outcome = coalesce(
            nullif(outcome, 'waived'), (SELECT by_id FROM answer) -> erasure_id::text ->> 'outcome'
        ),
        tables = coalesce(
            tables,
            nullif((SELECT by_id FROM answer) -> erasure_id::text -> 'tables', CAST('null' AS jsonb))
        ),
        manifest_hash = coalesce(manifest_hash, :manifest_hash),
        acknowledged_at = coalesce(acknowledged_at, :now)
    WHERE erasure_id = ANY(:people) AND participant = :participant AND position = :position
      AND cardinality(:people) = (
          SELECT count(*) FROM step AS asked
          WHERE asked.erasure_id = ANY(:people) AND asked.participant = :participant
            AND asked.position = :position
      )
    RETURNING erasure_id IN (
        SELECT other.erasure_id FROM step AS other
        WHERE other.erasure_id = ANY(:people) AND other.participant <> :participant
          AND other.outcome IS NULL
    ) AS waits
    """
).bindparams(
    bindparam("shown", type_=String),
    bindparam("people", type_=ARRAY(Uuid)),
    bindparam("manifest_hash", type_=String),
    bindparam("participant", type_=String),
    bindparam("position", type_=BigInteger),
)


async def _close(
    session: AsyncSession,
    *,
    participant: Participant,
    position: int,
    manifest_hash: str | None,
    erasure_ids: Sequence[UUID],
    shown: str,
) -> None:
    """Record the first proof of each step; a second one changes nothing. All of it, or none.

    A proof counts more than a waiver, and takes its place. `shown`: the subjects as JSON, straight
    into the steps; partners show no tables. Rings when it was somebody's last open step.
    """
    closed = await session.scalars(
        _CLOSE,
        {
            "shown": shown,
            "people": list(erasure_ids),
            "participant": participant.name,
            "position": position,
            "manifest_hash": manifest_hash,
            "now": clock.now(),
        },
    )
    waits = closed.all()
    if len(waits) != len(erasure_ids):
        if await _merely_not_asked(
            session, participant, position=position, erasure_ids=erasure_ids
        ):
            uncalled.inc()
            return
        raise _RefusedError("somebody-else")
    if not all(waits):
        wake(session, COMPLETION_BELL)


async def _merely_not_asked(
    session: AsyncSession, participant: Participant, *, position: int, erasure_ids: Sequence[UUID]
) -> bool:
    """Whether it takes part since after this broadcast, hears its repetitions, and answers well."""
    asked = select(col(Step.erasure_id)).where(
        col(Step.position) == position, col(Step.participant) == participant.name
    )
    if not participant.active or await session.scalar(asked.limit(1)) is not None:
        return False
    named = await session.scalar(
        select(func.count()).where(
            col(Erasure.position) == position, col(Erasure.erasure_id).in_(erasure_ids)
        )
    )
    return named == len(erasure_ids)


async def _refuse(
    session: AsyncSession, cause: str, *, sender: str | None, position: int | None
) -> None:
    """Count it in the row of its hour; tell the log of the first, the tenth, the hundredth…"""
    refusals.labels(cause).inc()
    now = clock.now()
    times = await session.scalar(
        insert(Refusal)
        .values(
            id=new_id(),
            refused_at=now,
            sender=sender,
            position=position,
            cause=cause,
            hour=now.replace(minute=0, second=0, microsecond=0),
            times=1,
        )
        .on_conflict_do_update(
            index_elements=["hour", "sender", "cause"],
            index_where=col(Refusal.hour).is_not(None),
            set_={"refused_at": now, "position": position, "times": col(Refusal.times) + 1},
        )
        .returning(col(Refusal.times))
    )
    if str(times).strip("0") == "1":
        log.error(
            "erasure_answer_refused", cause=cause, sender=sender, position=position, times=times
        )


async def prune_refusals(session: AsyncSession) -> None:
    """Forget the refusals of a year ago."""
    await session.execute(
        delete(Refusal).where(col(Refusal.refused_at) < clock.now() - REFUSALS_KEPT_FOR)
    )
