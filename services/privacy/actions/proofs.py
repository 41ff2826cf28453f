"""The end of proofs: what was kept to show that people were forgotten goes when its time is over.

Of the ledger stays what says nothing about anybody: position, hash, the hash before. So the chain can
still be followed from its first entry to its last.
"""

from datetime import timedelta

from sqlalchemy import bindparam, delete, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid
from sqlmodel import col

from chassis import clock
from contracts.privacy import MAX_BATCH
from services.privacy.models import PROOF, Erasure, Escalation, EscalationMail

_IDS = bindparam("ids", type_=ARRAY(Uuid))
_CHILDREN = [
    text(f"DELETE FROM {table} WHERE erasure_id = ANY(:ids)").bindparams(_IDS)  # noqa: S608 - constants
    for table in ("last_message", "escalation", "waiver", "step", "missed", "erasure_alias")
]
_ERASURES = text("DELETE FROM erasure WHERE erasure_id = ANY(:ids) RETURNING position").bindparams(
    _IDS
)
_EMPTY = text(
    """
    UPDATE broadcast SET entry = entry - 'subjects', chase_at = NULL
    WHERE position = ANY(:positions)
      AND NOT EXISTS (SELECT FROM erasure WHERE erasure.position = broadcast.position)
    """
)


async def prune(session: AsyncSession) -> int:
    """Delete the oldest proofs whose time is over, a batch of them; returns how many."""
    due = await session.scalars(
        select(col(Erasure.erasure_id))
        .where(col(Erasure.keep_until) <= clock.now())
        .order_by(col(Erasure.keep_until))
        .limit(MAX_BATCH)
        .with_for_update(skip_locked=True)
    )
    ids = due.all()
    if not ids:
        return 0
    for statement in _CHILDREN:
        await session.execute(statement, {"ids": ids})
    positions = {row.position for row in await session.execute(_ERASURES, {"ids": ids})}
    await session.execute(_EMPTY, {"positions": sorted(positions)})
    return len(ids)


async def prune_mails(session: AsyncSession) -> None:
    """Forget mails to the DPO that nothing refers to any more, as long ago as proofs."""
    await session.execute(
        delete(EscalationMail).where(
            col(EscalationMail.composed_at) < clock.now() - timedelta(days=PROOF.days or 0),
            ~select(Escalation)
            .where(col(Escalation.mail_id) == col(EscalationMail.mail_id))
            .exists(),
        )
    )
