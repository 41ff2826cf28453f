"""What was kept as proof goes when its time is over."""

from datetime import timedelta

from chassis import crash
from chassis.service import Job, Runtime
from services.privacy.actions import answers, proofs


async def prune(runtime: Runtime) -> None:
    """Delete proofs whose time is over, refusals of a year ago, and old mails to the DPO."""
    more = True
    while more and not runtime.stop.is_set():
        async with runtime.db.transaction() as session:
            more = bool(await proofs.prune(session))
        crash.point("privacy.after_proofs_pruned")
    async with runtime.db.transaction() as session:
        await answers.prune_refusals(session)
        await proofs.prune_mails(session)
    crash.point("privacy.after_refusals_pruned")


JOBS = (Job(name="prune_proofs", every=timedelta(minutes=10), run=prune),)
