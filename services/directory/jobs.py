"""What the clock starts in the directory."""

from datetime import timedelta

from chassis import crash
from chassis.service import Job, Runtime
from services.directory.actions import communities, people


async def sweep_photos(runtime: Runtime) -> None:
    """Delete photos that were replaced, withdrawn, or never arrived."""
    async with runtime.db.transaction() as session:
        await people.sweep_photos(session, storage=runtime.storage)
    crash.point("directory.after_photo_sweep")


async def tell_memberships(runtime: Runtime) -> None:
    """Privacy deletes nobody for belonging nowhere before it has heard this far."""
    async with runtime.db.transaction() as session:
        await communities.tell_memberships(session)
    crash.point("directory.after_tell_memberships")


JOBS = (
    Job(name="tell_memberships", every=timedelta(minutes=5), run=tell_memberships),
    Job(
        name="sweep_photos",
        every=timedelta(seconds=30),
        run=sweep_photos,
        bell=people.PHOTO_BELL,
    ),
)
