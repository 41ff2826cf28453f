"""Profiles and photos."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock, crash, subjects
from chassis.db import wake
from chassis.errors import NotFoundError
from chassis.ids import new_id
from chassis.storage import Storage
from services.directory.models import Photo, PhotoState, Profile
from services.directory.schemas.people import ProfileForm

PHOTO_BELL = "photos"
_UPLOAD_ABANDONED_AFTER = timedelta(minutes=10)


async def save_profile(session: AsyncSession, *, person_id: UUID, form: ProfileForm) -> None:
    """Write the caller's profile, the whole of it."""
    await subjects.ensure(session, person_id)
    values = {**form.model_dump(), "updated_at": clock.now()}
    await session.execute(
        insert(Profile)
        .values(person_id=person_id, **values)
        .on_conflict_do_update(index_elements=["person_id"], set_=values)
    )


async def withdraw_profile(session: AsyncSession, *, person_id: UUID) -> None:
    """Delete the caller's profile; the photo goes with it."""
    await session.execute(delete(Profile).where(col(Profile.person_id) == person_id))
    await _discard_photos(session, person_id)


async def announce_photo(session: AsyncSession, *, person_id: UUID) -> str:
    """The key of a file that is about to be stored. Committed before the file comes: whatever
    happens then, its row is there to be erased or swept.
    """
    await subjects.ensure(session, person_id)
    photo = Photo(storage_key=f"photos/{new_id()}.webp", person_id=person_id, asked_at=clock.now())
    session.add(photo)
    return photo.storage_key


async def store_photo(
    session: AsyncSession, *, storage: Storage, key: str, person_id: UUID, content: bytes
) -> None:
    """Store the file of an announced photo, which replaces the present one.

    The row stays locked meanwhile: an erasure waits for the file and takes it along. Raises
    `NotFoundError` when the row is gone already.
    """
    announced = await session.scalar(
        select(Photo).where(col(Photo.storage_key) == key).with_for_update()
    )
    if announced is None:
        raise NotFoundError
    await storage.put(key, content)
    crash.point("directory.after_photo_put")
    await _discard_photos(session, person_id)
    announced.state = PhotoState.STORED


async def withdraw_photo(session: AsyncSession, *, person_id: UUID) -> None:
    """Take the caller's photo down; its file follows at once."""
    await _discard_photos(session, person_id)


async def _discard_photos(session: AsyncSession, person_id: UUID) -> None:
    await session.execute(
        update(Photo)
        .where(col(Photo.person_id) == person_id, col(Photo.state) == PhotoState.STORED)
        .values(state=PhotoState.DISCARDED)
        .execution_options(synchronize_session=False)
    )
    wake(session, PHOTO_BELL)


async def sweep_photos(session: AsyncSession, *, storage: Storage) -> None:
    """Delete the files, then the rows, of photos that were discarded or never arrived."""
    leaving = (
        await session.scalars(
            select(Photo)
            .where(
                col(Photo.state) != PhotoState.STORED,
                or_(
                    col(Photo.state) == PhotoState.DISCARDED,
                    col(Photo.asked_at) < clock.now() - _UPLOAD_ABANDONED_AFTER,
                ),
            )
            .limit(100)
            .with_for_update(skip_locked=True)
        )
    ).all()
    await storage.delete(*(photo.storage_key for photo in leaving))
    crash.point("directory.after_photo_files")
    for photo in leaving:
        await session.delete(photo)
