"""Completing an erasure: the certificate is signed when, and only when, every step is proven."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from joserfc import jws
from joserfc.jwk import ECKey
from prometheus_client import Histogram
from sqlalchemy import String, and_, bindparam, exists, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid
from sqlmodel import col

from chassis import clock, outbox
from chassis.db import wake
from chassis.evidence import ALGORITHM, canonical
from chassis.tables import Instant
from contracts.privacy import MAX_BATCH, ErasureCompleted, Outcome
from services.privacy.models import (
    PROOF,
    Broadcast,
    Erasure,
    LastMessage,
    Participant,
    Step,
    Waiver,
)
from services.privacy.queries.participants import Declared, declared_tables
from services.privacy.schemas.participants import ParticipantKind
from services.privacy.schemas.waivers import MEANING, WaiverReason

LAST_MESSAGE_BELL = "last message"
CERTIFICATE_TYPE = "fr.ccibusiness.erasure-certificate.v1"


_took = Histogram(
    "ccib_erasure_duration_seconds",
    "From the request of an erasure to its certificate",
    buckets=(1, 5, 15, 60, 300, 3_600, 21_600, 86_400, 604_800, 1_209_600, 2_592_000),
)
_proven = Histogram(
    "ccib_erasure_proven_seconds",
    "From the request of an erasure to a participant's proof, of erasures that were completed",
    ["kind", "participant"],
    buckets=(0.25, 0.5, 1, 2, 5, 15, 60, 300, 3_600, 86_400, 604_800, 2_592_000),
)

_STEPS = (
    select(func.count())
    .where(col(Step.erasure_id) == col(Erasure.erasure_id))
    .correlate(Erasure)
    .scalar_subquery()
)
# Told apart from what wrote the steps: the ledger's entry names who takes part, and our own services
# do whatever it says. Who was never asked has not forgotten. Once per broadcast: an entry is as long
# as its people are many, and reading it for each of them grew with the square.
_entry = (
    select(
        col(Broadcast.position),
        col(Broadcast.reserved_at),
        col(Broadcast.entry)["participants"].label("names"),
    )
    .where(
        col(Broadcast.sent_at).is_not(None),
        col(Broadcast.position).in_(
            select(col(Erasure.position)).where(col(Erasure.completed_at).is_(None))
        ),
    )
    .cte("entry")
    .prefix_with("MATERIALIZED")
)
_called = (
    select(_entry.c.position, col(Participant.name))
    .join(
        Participant,
        or_(
            func.jsonb_exists(_entry.c.names, col(Participant.name)),
            and_(
                col(Participant.kind) == ParticipantKind.SERVICE,
                col(Participant.active),
                col(Participant.registered_at) <= _entry.c.reserved_at,
            ),
        ),
    )
    .cte("called")
    .prefix_with("MATERIALIZED")
)
_SOMEBODY_WAS_NOT_ASKED = (
    exists()
    .where(
        _called.c.position == col(Erasure.position),
        ~exists()
        .where(
            col(Step.erasure_id) == col(Erasure.erasure_id),
            col(Step.participant) == _called.c.name,
        )
        .correlate(Erasure, _called),
    )
    .correlate(Erasure)
)


class IncompleteProofError(Exception):
    """A certificate would not name everybody who was asked."""


async def complete(
    session: AsyncSession, *, key: ECKey, issuer: str, backup_days: int, log_days: int
) -> int:
    """Certify the erasures whose steps are all proven; returns how many.

    Raises `IncompleteProofError` rather than signing a certificate that leaves a participant out.
    """
    ready = (
        await session.execute(
            # Not the whole broadcast, whose entry names everybody in it, for each of them.
            select(Erasure, col(Broadcast.entry_hash), _STEPS)
            .join(Broadcast, col(Broadcast.position) == col(Erasure.position))
            .where(
                col(Erasure.completed_at).is_(None),
                col(Broadcast.sent_at).is_not(None),
                # Once for all, not joined: the planner knows little of tables that change so fast.
                col(Erasure.erasure_id).not_in(
                    select(col(Step.erasure_id)).where(col(Step.outcome).is_(None))
                ),
                _STEPS > 0,
                ~_SOMEBODY_WAS_NOT_ASKED,
            )
            .limit(MAX_BATCH)
            .with_for_update(of=Erasure, skip_locked=True)
        )
    ).all()
    if not ready:
        return 0
    steps = await _steps(session, [erasure.erasure_id for erasure, _, _ in ready])
    shown_under = {part.step.manifest_hash for found in steps.values() for part in found} - {None}
    declared = {
        one: await declared_tables(session, manifest_hash=one) for one in shown_under if one
    }
    now = clock.now()
    done: dict[str, list[Any]] = {"ids": [], "signed": [], "until": []}
    for erasure, entry_hash, asked in ready:
        if len(steps[erasure.erasure_id]) != asked:
            raise IncompleteProofError(erasure.erasure_id)
        payload = certificate(
            erasure=erasure,
            entry_hash=entry_hash,
            parts=steps[erasure.erasure_id],
            declared=declared,
            issuer=issuer,
            now=now,
            backups_until=now + timedelta(days=backup_days),
            logs_until=now + timedelta(days=log_days),
        )
        header = {"alg": ALGORITHM, "kid": key.kid, "typ": "erasure-certificate+jws"}
        signed = jws.serialize_compact(header, canonical(payload), key, [ALGORITHM])
        done["ids"].append(erasure.erasure_id)
        done["signed"].append(signed)
        done["until"].append(_proof_until(steps[erasure.erasure_id], now))
        _observe(erasure, steps[erasure.erasure_id], now)
        outbox.publish(session, ErasureCompleted(erasure_id=erasure.erasure_id))
    await session.execute(_COMPLETE, {"now": now, **done})
    await session.execute(
        update(LastMessage).where(col(LastMessage.erasure_id).in_(done["ids"])).values(due_at=now)
    )
    wake(session, LAST_MESSAGE_BELL)
    return len(ready)


def _observe(erasure: Erasure, parts: Sequence["Part"], now: datetime) -> None:
    _took.observe((now - erasure.requested_at).total_seconds())
    for part in parts:
        if part.waiver is None and part.step.acknowledged_at is not None:
            seconds = (part.step.acknowledged_at - erasure.requested_at).total_seconds()
            _proven.labels(part.kind, part.step.participant).observe(seconds)


_COMPLETE = text(
    """
    UPDATE erasure SET completed_at = :now, certificate = done.signed, keep_until = done.until
    FROM unnest(:ids, :signed, :until) AS done (erasure_id, signed, until)
    WHERE erasure.erasure_id = done.erasure_id
    """
).bindparams(
    bindparam("now", type_=Instant),
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("signed", type_=ARRAY(String)),
    bindparam("until", type_=ARRAY(Instant)),
)


@dataclass(frozen=True)
class Part:
    """A step, what kind of participant it is of, and the waiver that ended it, if one did."""

    step: Step
    kind: str
    waiver: Waiver | None


def waived_in(signed: str) -> list[str]:
    """The participants that a certificate says were let off proving their part."""
    statement = json.loads(jws.extract_compact(signed.encode()).payload)
    return [part["name"] for part in statement["participants"] if part["outcome"] == "waived"]


async def _steps(session: AsyncSession, erasure_ids: Sequence[UUID]) -> dict[UUID, list[Part]]:
    found: dict[UUID, list[Part]] = {erasure_id: [] for erasure_id in erasure_ids}
    rows = await session.execute(
        select(Step, col(Participant.kind), Waiver)
        .join(Participant, col(Participant.name) == col(Step.participant))
        .outerjoin(
            Waiver,
            (col(Waiver.erasure_id) == col(Step.erasure_id))
            & (col(Waiver.participant) == col(Step.participant))
            & (col(Step.outcome) == Outcome.WAIVED),
        )
        .where(col(Step.erasure_id).in_(erasure_ids))
        .order_by(col(Step.participant))
    )
    for step, kind, waiver in rows:
        found[step.erasure_id].append(Part(step, kind, waiver))
    return found


def _proof_until(parts: Sequence[Part], now: datetime) -> datetime:
    """Until when privacy said that it keeps this proof, when it counted its own rows."""
    told = [
        datetime.fromisoformat(kept["until"])
        for part in parts
        for table in (part.step.tables or {}).values()
        for kept in table["kept"]
        if part.step.participant == "privacy" and kept["rule"] == PROOF.rule and kept["until"]
    ]
    return max(told, default=now + timedelta(days=PROOF.days or 0))


def certificate(
    *,
    erasure: Erasure,
    entry_hash: str,
    parts: Sequence[Part],
    declared: Mapping[str, Mapping[str, Declared]],
    issuer: str,
    now: datetime,
    backups_until: datetime,
    logs_until: datetime,
) -> dict[str, Any]:
    """What was held, what was erased where and when, what stays and why, what is out of scope."""

    def of(part: Part) -> Mapping[str, Declared]:
        proven_under = part.step.manifest_hash
        return {} if proven_under is None else declared[proven_under]  # partners show no tables

    return {
        "type": CERTIFICATE_TYPE,
        "issuer": issuer,
        "erasure_id": str(erasure.erasure_id),
        "subject_id": str(erasure.subject_id),
        "reason": erasure.reason,
        "requested_at": erasure.requested_at.isoformat(),
        "completed_at": now.isoformat(),
        "position": erasure.position,
        "entry_hash": entry_hash,
        "participants": [
            {
                "name": part.step.participant,
                "kind": part.kind,
                "outcome": part.step.outcome,
                "acknowledged_at": part.step.acknowledged_at.isoformat()
                if part.step.acknowledged_at
                else None,
                "manifest_hash": part.step.manifest_hash,
                "tables": part.step.tables,
                **({"waiver": _waived(part.waiver)} if part.waiver else {}),
            }
            for part in parts
        ],
        "held": [line for part in parts for line in _held(part.step, of(part))],
        "kept": [line for part in parts for line in _kept(part.step, of(part))],
        "tombstone": "Un identifiant opaque reste dans chaque service, pour que rien ne fasse revenir "
        "la personne : événement tardif, envoi répété, sauvegarde restaurée (le service l'oublie à nouveau "
        "avant de répondre à quiconque)",
        "out_of_scope": [
            {
                "what": "Sauvegardes des bases : elles gardent une copie jusqu'à cette date",
                "until": backups_until.isoformat(),
            },
            {"what": "Journaux techniques : identifiants opaques", "until": logs_until.isoformat()},
            {
                "what": "Lignes mortes de PostgreSQL, illisibles par SQL : jusqu'au prochain VACUUM",
                "until": None,
            },
        ],
    }


def _waived(waiver: Waiver) -> dict[str, Any]:
    return {
        "reason": waiver.reason,
        "meaning": MEANING[WaiverReason(waiver.reason)],
        "reference": waiver.reference,
        "waived_at": waiver.waived_at.isoformat(),
    }


def _held(step: Step, declared: Mapping[str, Declared]) -> list[dict[str, Any]]:
    """What was there about the person, in the words of the declarations."""
    lines = []
    for name, counts in (step.tables or {}).items():
        rows = {
            "deleted": counts["deleted"],
            "detached": counts["detached"],
            "kept": sum(kept["rows"] for kept in counts["kept"]),
        }
        if any(rows.values()):
            lines.append(
                {
                    "participant": step.participant,
                    "table": name,
                    "purposes": declared[name].purposes,
                    "data": declared[name].data,
                    **rows,
                }
            )
    return lines


def _kept(step: Step, declared: Mapping[str, Declared]) -> list[dict[str, Any]]:
    return [
        {
            "participant": step.participant,
            "table": name,
            "rule": kept["rule"],
            "source": declared[name].sources.get(kept["rule"]),
            "rows": kept["rows"],
            "until": kept["until"],
        }
        for name, table in (step.tables or {}).items()
        for kept in table["kept"]
        if kept["rows"]
    ]
