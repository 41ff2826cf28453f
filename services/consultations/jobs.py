"""What the clock starts in consultations."""

from datetime import timedelta

from chassis import crash
from chassis.service import Job, Runtime
from services.consultations.actions import consultations


async def close_due(runtime: Runtime) -> None:
    """Close what is over; replies were refused from that instant on already."""
    closed = 1
    while closed:
        async with runtime.db.transaction() as session:
            closed = await consultations.close_due(session)
        crash.point("consultations.after_close")


JOBS = (Job(name="close_due", every=timedelta(seconds=5), run=close_due),)
"""Replies open at most five seconds after the announced end."""
