"""Asking every service what it holds about one person. What did not answer is told, never left out."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx2
import structlog
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import access
from chassis.access import Held, Section
from chassis.errors import SubjectErasedError, UnavailableError
from chassis.service import Runtime
from services.privacy.queries.participants import current_manifests, participants
from services.privacy.schemas.exports import ServiceData, WhyNot
from services.privacy.schemas.participants import ParticipantKind

log = structlog.get_logger()

MAX_ANSWER_BYTES = 64_000_000
"""Of one service about one person, files not counted."""
MAX_FILE_BYTES = 25_000_000
_PATIENCE_S, _PATIENCE_FOR_ALL_S = 4.0, 30.0
"""For one answer: while somebody waits, and when everything is collected."""

Manifests = Mapping[str, Mapping[str, Any]]


class UnansweredError(Exception):
    """A service gave no answer that can be used."""

    def __init__(self, why: WhyNot) -> None:
        super().__init__(why)
        self.why: WhyNot = why


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Who is asked, what each declares to hold, and what privacy itself holds."""

    services: Sequence[str]
    manifests: Manifests
    own: Held


async def prepare(
    session: AsyncSession, runtime: Runtime, *, person_id: UUID, rows: int | None
) -> Asked:
    """What the database knows; after that nobody's answer is waited for in a transaction.

    `rows` is how many of each table are wanted, None for all.
    """
    known = {
        found.name
        for found in await participants(session)
        if found.active and found.kind == ParticipantKind.SERVICE
    }
    manifests = {name: one.manifest for name, one in (await current_manifests(session)).items()}
    catalogue, pages = runtime.service.catalogue, list[Held]()
    offset: int | None = 0
    while offset is not None:
        page = await access.collect(
            session,
            catalogue,
            person_id=person_id,
            offset=offset,
            limit=rows or access.MAX_ROWS,
        )
        pages.append(page)
        offset = page.next if rows is None else None
    return Asked(
        services=sorted(known | runtime.settings.service_urls.keys() | {catalogue.service}),
        manifests=manifests,
        own=_joined(pages),
    )


async def collect(
    runtime: Runtime, asked: Asked, *, person_id: UUID, rows: int | None
) -> list[ServiceData]:
    """What everybody holds, asked at the same time.

    Raises `SubjectErasedError` when the person was erased somewhere: they are on their way out.
    """
    return list(
        await asyncio.gather(
            *(
                _service(runtime, asked, service, person_id=person_id, rows=rows)
                for service in asked.services
            )
        )
    )


async def _service(
    runtime: Runtime,
    asked: Asked,
    service: str,
    *,
    person_id: UUID,
    rows: int | None,
) -> ServiceData:
    if service == asked.own.service:
        return ServiceData(
            service=service, answered=True, why_not=None, sections=asked.own.sections
        )
    try:
        held = await _pages(runtime, service, person_id=person_id, rows=rows)
        if not _complete(held, asked.manifests.get(service)):
            raise UnansweredError("incomplete_answer")
    except UnansweredError as error:
        log.warning("service_did_not_tell", service_asked=service, why=error.why)
        return ServiceData(service=service, answered=False, why_not=error.why, sections=[])
    return ServiceData(service=service, answered=True, why_not=None, sections=held.sections)


async def _pages(
    runtime: Runtime,
    service: str,
    *,
    person_id: UUID,
    rows: int | None,
) -> Held:
    limit = rows or access.MAX_ROWS
    pages: list[Held] = []
    room = MAX_ANSWER_BYTES
    offset = 0
    while True:
        body = await _get(
            runtime,
            service,
            f"{person_id}?offset={offset}&limit={limit}",
            max_bytes=room,
            patience=_PATIENCE_FOR_ALL_S if rows is None else _PATIENCE_S,
        )
        room -= len(body)
        page = _read(body, service)
        pages.append(page)
        if page.next is None or rows is not None:
            return _joined(pages)
        if page.next != offset + limit:
            raise UnansweredError("wrong_answer")
        offset = page.next


async def fetch_file(runtime: Runtime, *, service: str, person_id: UUID, key: str) -> bytes | None:
    """A file of this person, or None when it is not there (any more).

    Raises `UnansweredError`, and `SubjectErasedError` as `collect` does.
    """
    if service == runtime.service.name:
        catalogue = runtime.service.catalogue
        async with runtime.db.transaction() as session:
            if not await access.owns_file(session, catalogue, person_id=person_id, key=key):
                return None
        return await runtime.storage.get(key)
    path = f"{person_id}/files/{quote(key, safe='/')}"
    try:
        return await _get(
            runtime,
            service,
            path,
            max_bytes=MAX_FILE_BYTES,
            patience=_PATIENCE_FOR_ALL_S,
        )
    except _NotThereError:
        return None


class _NotThereError(UnansweredError):
    """404: for a page of data, no answer; for a file, one."""


async def _get(
    runtime: Runtime,
    service: str,
    path: str,
    *,
    max_bytes: int,
    patience: float,
) -> bytes:
    where = runtime.settings.service_urls.get(service)
    if where is None:
        raise UnansweredError("unreachable")
    url = f"{where}/internal/subjects/{path}"
    try:
        async with asyncio.timeout(patience):
            return await _body(runtime, url, max_bytes=max_bytes)
    except (UnavailableError, httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError):
        raise UnansweredError("unreachable") from None


async def _body(runtime: Runtime, url: str, *, max_bytes: int) -> bytes:
    """What the service answers."""
    async with runtime.http.stream("GET", url, auth=runtime.credentials) as answer:
        match answer.status_code:
            case HTTPStatus.OK:
                pass
            case HTTPStatus.GONE:
                raise SubjectErasedError
            case HTTPStatus.NOT_FOUND:
                raise _NotThereError("wrong_answer")
            case _:
                raise UnansweredError("unreachable")
        body = bytearray()
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > max_bytes:
                raise UnansweredError("wrong_answer")
        return bytes(body)


def _read(body: bytes, service: str) -> Held:
    """Nothing is believed that does not have the shape that was agreed."""
    try:
        held = Held.model_validate_json(body)
    except ValidationError:
        raise UnansweredError("wrong_answer") from None
    ways = [_way(section) for section in held.sections]
    if held.service != service or len(set(ways)) != len(ways):
        raise UnansweredError("wrong_answer")
    for section in held.sections:
        names = {column.name for column in section.columns}
        if any(row.keys() != names for row in section.rows):
            raise UnansweredError("wrong_answer")
    return held


def _joined(pages: Sequence[Held]) -> Held:
    """The pages as one. Raises `UnansweredError` when they do not tell of the same tables."""
    first, *others = pages
    for page in others:
        if [_way(section) for section in page.sections] != [_way(s) for s in first.sections]:
            raise UnansweredError("wrong_answer")
        for section, more in zip(first.sections, page.sections, strict=True):
            section.rows += more.rows
    for section in first.sections:
        section.total = max(section.total, len(section.rows))
    first.next = None
    return first


def _way(section: Section) -> tuple[str, str]:
    return section.table, section.subject


def _complete(held: Held, manifest: Mapping[str, Any] | None) -> bool:
    """Whether all is told that the service declares to hold; a newer release may tell more."""
    if manifest is None:
        return True
    told = {
        (section.table, section.subject): {column.name for column in section.columns}
        for section in held.sections
    }
    return all(
        told.get((table, subject), set[str]()) >= _personal(declared, subject)
        and (table, subject) in told
        for table, declared in manifest["tables"].items()
        for subject in declared["subjects"]
    )


def _personal(declared: Mapping[str, Any], subject: str) -> set[str]:
    return {
        name
        for name, column in declared["columns"].items()
        if column["kind"] == "personal" and column["of"] == subject
    }
