"""Completing an erasure: the certificate is signed when, and only when, every step is proven."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from joserfc import jws
from joserfc.jwk import ECKey
from sqlalchemy import bindparam, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock, outbox
from chassis.db import wake
from chassis.evidence import ALGORITHM, canonical
from contracts.privacy import MAX_BATCH, ErasureCompleted
from services.privacy.models import Broadcast, Erasure, LastMessage, Participant, Step
from services.privacy.queries.participants import manifests as manifests_by_hash

LAST_MESSAGE_BELL = "last message"
CERTIFICATE_TYPE = "fr.ccibusiness.erasure-certificate.v1"


async def complete(
    session: AsyncSession, *, key: ECKey, issuer: str, backup_days: int, log_days: int
) -> int:
    """Certify the erasures whose steps are all proven; returns how many."""
    ready = (
        await session.execute(
            select(Erasure, Broadcast)
            .join(Broadcast, col(Broadcast.position) == col(Erasure.position))
            .where(
                col(Erasure.completed_at).is_(None),
                col(Broadcast.sent_at).is_not(None),
                ~exists().where(
                    col(Step.erasure_id) == col(Erasure.erasure_id), col(Step.outcome).is_(None)
                ),
                exists().where(col(Step.erasure_id) == col(Erasure.erasure_id)),
            )
            .limit(MAX_BATCH)
            .with_for_update(of=Erasure, skip_locked=True)
        )
    ).all()
    if not ready:
        return 0
    steps = await _steps(session, [erasure.erasure_id for erasure, _ in ready])
    manifests = await manifests_by_hash(
        session, hashes={step.manifest_hash for found in steps.values() for step, _ in found}
    )
    now = clock.now()
    done = []
    for erasure, broadcast in ready:
        payload = certificate(
            erasure=erasure,
            broadcast=broadcast,
            steps=steps[erasure.erasure_id],
            manifests=manifests,
            issuer=issuer,
            now=now,
            backups_until=now + timedelta(days=backup_days),
            logs_until=now + timedelta(days=log_days),
        )
        header = {"alg": ALGORITHM, "kid": key.kid, "typ": "erasure-certificate+jws"}
        signed = jws.serialize_compact(header, canonical(payload), key, [ALGORITHM])
        done.append({"id": erasure.erasure_id, "now": now, "signed": signed})
        outbox.publish(session, ErasureCompleted(erasure_id=erasure.erasure_id))
    connection = await session.connection()
    await connection.execute(
        update(Erasure)
        .where(col(Erasure.erasure_id) == bindparam("id"))
        .values(completed_at=bindparam("now"), certificate=bindparam("signed")),
        done,
    )
    await session.execute(
        update(LastMessage)
        .where(col(LastMessage.erasure_id).in_([row["id"] for row in done]))
        .values(due_at=now)
    )
    wake(session, LAST_MESSAGE_BELL)
    return len(done)


async def _steps(
    session: AsyncSession, erasure_ids: Sequence[UUID]
) -> dict[UUID, list[tuple[Step, str]]]:
    found: dict[UUID, list[tuple[Step, str]]] = {erasure_id: [] for erasure_id in erasure_ids}
    rows = await session.execute(
        select(Step, col(Participant.kind))
        .join(Participant, col(Participant.name) == col(Step.participant))
        .where(col(Step.erasure_id).in_(erasure_ids))
        .order_by(col(Step.participant))
    )
    for step, kind in rows:
        found[step.erasure_id].append((step, kind))
    return found


def certificate(
    *,
    erasure: Erasure,
    broadcast: Broadcast,
    steps: Sequence[tuple[Step, str]],
    manifests: Mapping[str | None, Any],
    issuer: str,
    now: datetime,
    backups_until: datetime,
    logs_until: datetime,
) -> dict[str, Any]:
    """What was held, what was erased where and when, what stays and why, what is out of scope."""
    return {
        "type": CERTIFICATE_TYPE,
        "issuer": issuer,
        "erasure_id": str(erasure.erasure_id),
        "subject_id": str(erasure.subject_id),
        "reason": erasure.reason,
        "requested_at": erasure.requested_at.isoformat(),
        "completed_at": now.isoformat(),
        "position": broadcast.position,
        "entry_hash": broadcast.entry_hash,
        "participants": [
            {
                "name": step.participant,
                "kind": kind,
                "outcome": step.outcome,
                "acknowledged_at": step.acknowledged_at.isoformat()
                if step.acknowledged_at
                else None,
                "manifest_hash": step.manifest_hash,
                "tables": step.tables,
            }
            for step, kind in steps
        ],
        "kept": [
            kept
            for step, _ in steps
            for kept in _kept(step, manifests.get(step.manifest_hash, {"tables": {}}))
        ],
        "tombstone": "Un identifiant opaque reste dans chaque service, pour que rien ne fasse revenir "
        "la personne : événement tardif, envoi répété",
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


def _kept(step: Step, manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    sources = {
        subject["hold"]["rule"]: subject["hold"]["source"]
        for table in manifest["tables"].values()
        for subject in table["subjects"].values()
        if "hold" in subject
    }
    return [
        {
            "participant": step.participant,
            "table": name,
            "rule": kept["rule"],
            "source": sources.get(kept["rule"]),
            "rows": kept["rows"],
            "until": kept["until"],
        }
        for name, table in (step.tables or {}).items()
        for kept in table["kept"]
        if kept["rows"]
    ]
