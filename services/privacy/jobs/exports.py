"""Copies of people's data: collect, write, say that they are ready, destroy."""

import asyncio
import zipfile
from datetime import timedelta
from tempfile import TemporaryFile
from typing import IO
from uuid import UUID

import httpx2
import structlog

from chassis import clock, crash, mail
from chassis.errors import SubjectErasedError, UnavailableError
from chassis.mail import MailNotSentError
from chassis.service import Job, Runtime
from services.privacy.actions import collecting
from services.privacy.actions import exports as actions
from services.privacy.actions.collecting import UnansweredError
from services.privacy.credentials import Sealer
from services.privacy.messages.archives import Copy, documents, file_name, stored_files
from services.privacy.messages.exports import export_ready
from services.privacy.models import EXPORT_PATIENCE, Export

log = structlog.get_logger()

MAX_FILES_BYTES = 2_000_000_000
"""Of all files of one archive; the others are named in it."""
_PAUSES_S = (0.5, 2.0)


async def build(runtime: Runtime) -> None:
    """Write every archive whose time has come, one after the other."""
    while not runtime.stop.is_set():
        async with runtime.db.transaction() as session:
            export = await actions.next_waiting(session)
        if export is None:
            return
        try:
            written = await _write(runtime, export)
        except SubjectErasedError:
            async with runtime.db.transaction() as session:
                await actions.drop(session, export_id=export.id)
            crash.point("privacy.after_export_drop")
            continue
        except Exception as error:
            log.error("export_failed", export_id=str(export.id), exc_info=error)
            written = False
        if not written:
            async with runtime.db.transaction() as session:
                await actions.postpone(session, export_id=export.id)
            crash.point("privacy.after_export_postpone")


async def _write(runtime: Runtime, export: Export) -> bool:
    """Collect and store one archive; False when somebody who does not answer is still waited for."""
    person_id = export.person_id
    async with runtime.db.transaction() as session:
        asked = await collecting.prepare(session, runtime, person_id=person_id, rows=None)
    services = await collecting.collect(runtime, asked, person_id=person_id, rows=None)
    silent = [one.service for one in services if not one.answered]
    patient = clock.now() - export.requested_at < EXPORT_PATIENCE
    if silent and patient:
        return False
    copy = Copy(person_id=person_id, generated_at=clock.now(), services=services)
    # What touches a disk here is closed already, also while it is being written.
    with TemporaryFile() as closed:
        sealer = Sealer(closed, public=export.public_key, context=export.id.bytes)
        try:
            await _fill(runtime, sealer, copy, patient=patient)
        except UnansweredError:
            return False
        crash.point("privacy.after_export_written")
        await _store(runtime, export.id, closed, size=sealer.size, missing=silent)
    return True


async def _fill(runtime: Runtime, sealer: Sealer, copy: Copy, *, patient: bool) -> None:
    """Write the files, one in memory at a time, then the documents, which say where they are."""
    at = copy.generated_at
    moment = (at.year, at.month, at.day, at.hour, at.minute, at.second)
    with zipfile.ZipFile(sealer, "w") as archive:

        def add(name: str, content: bytes, *, packed: bool) -> None:
            entry = zipfile.ZipInfo(name, date_time=moment)
            entry.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
            archive.writestr(entry, content)

        def add_documents() -> None:
            for name, content in documents(copy):
                add(name, content, packed=True)

        for service, key in stored_files(copy.services):
            if sealer.size > MAX_FILES_BYTES:
                copy.absent[service, key] = "l'archive serait trop grande ; demandez-le au délégué"
                continue
            try:
                content = await _file(runtime, service, copy.person_id, key)
            except UnansweredError:
                if patient:
                    raise
                copy.absent[service, key] = "le service n'a pas répondu"
                continue
            if content is None:
                copy.absent[service, key] = "le fichier n'est pas, ou plus, conservé"
                continue
            copy.files[service, key] = name = file_name((service, key), taken=copy.files)
            await asyncio.to_thread(add, name, content, packed=False)
        await asyncio.to_thread(add_documents)
    sealer.close()


async def _file(runtime: Runtime, service: str, person_id: UUID, key: str) -> bytes | None:
    """A file; a moment's trouble with one does not cost all the others once more."""
    for pause in _PAUSES_S:
        try:
            return await collecting.fetch_file(
                runtime, service=service, person_id=person_id, key=key
            )
        except UnansweredError:
            await asyncio.sleep(pause)
    return await collecting.fetch_file(runtime, service=service, person_id=person_id, key=key)


async def _store(
    runtime: Runtime, export_id: UUID, closed: IO[bytes], *, size: int, missing: list[str]
) -> None:
    """Bring the archive to its place. The row is held meanwhile: an erasure waits, and takes both."""
    async with runtime.db.transaction() as session:
        export = await actions.held(session, export_id=export_id)
        if export is None:  # the person was erased while we collected
            return
        await runtime.storage.put_file(export.storage_key, closed)
        crash.point("privacy.after_export_stored")
        await actions.finish(session, export, size=size, missing=missing)
    crash.point("privacy.after_export_finish")


async def tell(runtime: Runtime) -> None:
    """Say by mail that copies are ready: not what is in them, and not how to open them."""
    more = True
    while more and not runtime.stop.is_set():
        async with runtime.db.transaction() as session:
            export = await actions.next_untold(session)
            if more := export is not None:
                await _tell(runtime, export)
        crash.point("privacy.after_export_told")


async def _tell(runtime: Runtime, export: Export) -> None:
    settings = runtime.settings
    message = export_ready(complete=not export.missing, public_url=settings.public_url)
    try:
        address = await _address(runtime, export.person_id)
        if address is not None:
            await mail.send(
                smtp_url=settings.smtp_url,
                sender=settings.mail_from,
                to=address,
                subject=message.subject,
                text=message.text,
                message_id=f"<export-{export.id}@ccibusiness.example>",
            )
            crash.point("privacy.after_export_mail")
    except (MailNotSentError, UnavailableError, httpx2.HTTPError, ValueError, KeyError) as error:
        log.warning("export_not_told", export_id=str(export.id), error=type(error).__name__)
        export.tell_later(now=clock.now())
    else:
        export.told()


async def _address(runtime: Runtime, person_id: UUID) -> str | None:
    """The address that identity has now; not kept."""
    answer = await runtime.http.post(
        f"{runtime.settings.identity_url}/internal/addresses",
        json={"account_ids": [str(person_id)]},
        auth=runtime.credentials,
    )
    answer.raise_for_status()
    return next((str(row["email"]) for row in answer.json()), None)


async def sweep(runtime: Runtime) -> None:
    """Destroy the copies whose week is over."""
    destroyed = 1
    while destroyed:
        async with runtime.db.transaction() as session:
            destroyed = await actions.sweep(session, storage=runtime.storage)
        crash.point("privacy.after_export_sweep")


JOBS = (
    Job(name="build_exports", every=timedelta(seconds=2), run=build, bell=actions.EXPORT_BELL),
    Job(name="tell_exports", every=timedelta(seconds=5), run=tell, bell=actions.READY_BELL),
    Job(name="sweep_exports", every=timedelta(minutes=1), run=sweep),
)
