"""Partner systems that were away hear of what they missed."""

from datetime import timedelta

import structlog

from chassis import crash
from chassis.service import Job, Runtime
from services.privacy.actions import missed

log = structlog.get_logger()


async def catch_up(runtime: Runtime) -> None:
    """Look for what was missed, and tell it, a few positions at a time."""
    more = True
    while more and not runtime.stop.is_set():
        async with runtime.db.transaction() as session:
            more = await missed.note(session)
        crash.point("privacy.after_missed_noted")
    async with runtime.db.transaction() as session:
        told = await missed.tell(session)
    crash.point("privacy.after_missed_told")
    if told:
        log.warning("missed_erasures_told", positions=told)


JOBS = (Job(name="catch_up", every=timedelta(seconds=5), run=catch_up, bell=missed.MISSED_BELL),)
