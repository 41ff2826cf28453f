"""Asking for a copy of one's own data (GDPR art. 15(3) and 20), and what becomes of it."""

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock, crash, subjects
from chassis.db import wake
from chassis.ids import new_id
from chassis.storage import Storage
from services.privacy.credentials import new_export_key
from services.privacy.errors import ExportRunningError, TooManyExportsError
from services.privacy.models import (
    EXPORT_KEPT,
    EXPORT_PATIENCE,
    EXPORTS_PER_DAY,
    Export,
    ExportState,
)

EXPORT_BELL, READY_BELL = "export", "export_ready"
_DAY = timedelta(days=1)


class Requested(NamedTuple):
    """An export, and the key that opens it. Nothing keeps the key."""

    export_id: UUID
    key: str


async def request_export(
    session: AsyncSession, *, person_id: UUID, limited: bool = True
) -> Requested:
    """Have everything that is held about this person collected into one archive.

    Raises `ExportRunningError` while another one is being made, `TooManyExportsError` after three in
    a day (not with `limited=False`, for a request that the DPO answers), and `SubjectErasedError`.
    """
    await subjects.ensure(session, person_id)
    now = clock.now()
    if limited:
        recent = (
            await session.scalars(
                select(col(Export.requested_at))
                .where(col(Export.person_id) == person_id, col(Export.requested_at) > now - _DAY)
                .order_by(col(Export.requested_at).desc())
                .limit(EXPORTS_PER_DAY)
            )
        ).all()
        if len(recent) == EXPORTS_PER_DAY:
            raise TooManyExportsError(
                "Téléchargez une copie que vous avez déjà, ou revenez demain.",
                retry_after=int((recent[-1] + _DAY - now).total_seconds()) + 1,
            )
    export_id, key = new_id(), new_export_key()
    made = await session.scalar(
        insert(Export)
        .values(
            id=export_id,
            person_id=person_id,
            state=ExportState.WAITING,
            requested_at=now,
            public_key=key.public,
            storage_key=f"exports/{export_id}",
            attempts=0,
            due_at=now,
            expires_at=now + EXPORT_PATIENCE + EXPORT_KEPT,
            missing=[],
            mails=0,
        )
        .on_conflict_do_nothing()
        .returning(col(Export.id))
    )
    if made is None:
        raise ExportRunningError(
            "Attendez que la copie en préparation soit prête : un courriel vous le dira.",
            retry_after=60,
        )
    wake(session, EXPORT_BELL)
    return Requested(export_id, key.private)


async def next_waiting(session: AsyncSession) -> Export | None:
    """The export to write now; not held, so that an erasure never waits for one."""
    found: Export | None = await session.scalar(
        select(Export)
        .where(col(Export.due_at) <= clock.now())
        .order_by(col(Export.due_at))
        .limit(1)
    )
    return found


async def held(session: AsyncSession, *, export_id: UUID) -> Export | None:
    """An export that is still waiting, held by this transaction; None once it or the person is gone."""
    found: Export | None = await session.scalar(
        select(Export)
        .where(col(Export.id) == export_id, col(Export.state) == ExportState.WAITING)
        .with_for_update()
    )
    return found


async def finish(session: AsyncSession, export: Export, *, size: int, missing: list[str]) -> None:
    """Its file is stored: the person may be told."""
    export.finish(size=size, missing=missing, now=clock.now())
    session.add(export)
    wake(session, READY_BELL)


async def postpone(session: AsyncSession, *, export_id: UUID) -> None:
    """It could not be written now. After a day without any success it is given up."""
    export = await held(session, export_id=export_id)
    if export is None:
        return
    late = clock.now() - export.requested_at
    if late > EXPORT_PATIENCE + timedelta(hours=1):
        export.fail()
    else:
        export.try_later(now=clock.now())


async def drop(session: AsyncSession, *, export_id: UUID) -> None:
    """The person is being erased elsewhere: there is nothing to hand over any more."""
    await session.execute(delete(Export).where(col(Export.id) == export_id))


async def next_untold(session: AsyncSession) -> Export | None:
    """The export of which somebody must be told now, held by this transaction."""
    found: Export | None = await session.scalar(
        select(Export)
        .where(col(Export.tell_at) <= clock.now())
        .order_by(col(Export.tell_at))
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return found


async def sweep(session: AsyncSession, *, storage: Storage) -> int:
    """Delete the files, then the rows, of exports whose week is over; returns how many."""
    over = (
        await session.scalars(
            select(Export)
            .where(col(Export.expires_at) <= clock.now())
            .limit(100)
            .with_for_update(skip_locked=True)
        )
    ).all()
    await storage.delete(*(export.storage_key for export in over))
    crash.point("privacy.after_export_files")
    for export in over:
        await session.delete(export)
    return len(over)
