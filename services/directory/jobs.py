"""What the clock starts in the directory."""

from datetime import timedelta

from chassis.service import Job, Runtime
from services.directory.actions import people


async def sweep_photos(runtime: Runtime) -> None:
    """Delete photos that were replaced, withdrawn, or never arrived."""
    async with runtime.db.transaction() as session:
        await people.sweep_photos(session, storage=runtime.storage)


JOBS = (
    Job(
        name="sweep_photos",
        every=timedelta(seconds=30),
        run=sweep_photos,
        bell=people.PHOTO_BELL,
    ),
)
