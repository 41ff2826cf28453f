"""What privacy itself keeps of the ledger, made whole from the copy before its gate opens."""

from chassis import crash
from chassis.db import Database
from chassis.ledger import Ledger
from services.privacy.actions import broadcasts, restores

_AT_ONCE = 20
"""Positions in one transaction; each may name 500 people."""


async def rebuild(db: Database, ledger: Ledger) -> None:
    """Take in every position that this database lacks or has otherwise.

    Raises `LedgerConflictError` when it cannot be settled without a person, and what reading the
    copy raises.
    """
    async with db.transaction() as session:
        sent = await restores.hash_if_sent(session, position=ledger.known)
        if sent not in (None, ledger.head):
            raise restores.broadcast_otherwise(ledger.known)
        for reserved in await broadcasts.unsent(session):
            if reserved.position <= ledger.known:
                sealed = await ledger.entry(reserved.position)
                if sealed.entry_hash != reserved.entry_hash:
                    await restores.take_in(session, sealed)
    crash.point("privacy.after_reserved_taken_in")
    while True:
        async with db.transaction() as session:
            lacking = await restores.lacking(session, known=ledger.known, limit=_AT_ONCE)
            for position in lacking:
                await restores.take_in(session, await ledger.entry(position))
        crash.point("privacy.after_lacking_taken_in")
        if not lacking:
            break
    async with db.transaction() as session:
        await restores.chain_again(session, known=ledger.known, head=ledger.head)
    crash.point("privacy.after_chained_again")
