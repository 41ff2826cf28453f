"""What is held about a person, and the copy that they take away (N4.1; GDPR art. 15 and 20)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import StreamingResponse

from chassis import clock
from chassis.auth import Bearer, CurrentUser, Principal, Role, current_principal, require_role
from chassis.errors import NotFoundError, UnavailableError
from chassis.service import Runtime
from chassis.session import SessionDep, runtime_of
from services.privacy.actions import collecting
from services.privacy.actions import exports as actions
from services.privacy.credentials import opening, unsealed
from services.privacy.models import ExportState
from services.privacy.queries import exports as queries
from services.privacy.schemas.exports import DataView, ExportView, NewExport, ServiceData

router = APIRouter(prefix="/api/privacy", tags=["data"])

ROWS_SHOWN = 100
"""Of each table; `total` says how many there are, the export has them all."""
_AT_ONCE = 8
_ZIP: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
}
_asking = asyncio.Semaphore(_AT_ONCE)

ExportKey = Annotated[
    str | None,
    Header(alias="Export-Key", max_length=200, description="The key shown at the request"),
]


async def _caller(request: Request, bearer: Bearer) -> Principal:
    """The caller, in a transaction that is over before anybody else is asked."""
    async with runtime_of(request).db.transaction() as session:
        return await current_principal(request, session, bearer)


@router.get("/me/data")
async def my_data(
    request: Request, caller: Annotated[Principal, Depends(_caller, scope="function")]
) -> DataView:
    """What every service holds about the caller now, and which ones could not be asked."""
    return await _view(runtime_of(request), person_id=caller.account_id)


@router.get("/people/{person_id}/data", dependencies=[Depends(require_role(Role.DPO))])
async def data_of(person_id: UUID, request: Request) -> DataView:
    """How much every service holds about somebody: counts, no values (DPO)."""
    return await _view(runtime_of(request), person_id=person_id, disclosed=False)


async def _view(runtime: Runtime, *, person_id: UUID, disclosed: bool = True) -> DataView:
    if _asking.locked():
        raise UnavailableError("Réessayez dans quelques secondes.", retry_after=2)
    async with _asking:
        async with runtime.db.transaction() as session:
            asked = await collecting.prepare(session, runtime, person_id=person_id, rows=ROWS_SHOWN)
        found = await collecting.collect(runtime, asked, person_id=person_id, rows=ROWS_SHOWN)
    return DataView(
        generated_at=clock.now(),
        complete=all(one.answered for one in found),
        services=found if disclosed else _counts(found),
    )


def _counts(services: Sequence[ServiceData]) -> list[ServiceData]:
    """The same without a value."""
    return [
        one.model_copy(
            update={"sections": [s.model_copy(update={"rows": []}) for s in one.sections]}
        )
        for one in services
    ]


@router.post("/me/exports", status_code=HTTPStatus.ACCEPTED)
async def request_export(session: SessionDep, user: CurrentUser) -> NewExport:
    """Have a copy of everything made: one at a time, three a day. A mail says when it is ready.

    The archive is closed for everybody but the key of this answer, which is shown once. It lives
    seven days. Of files it takes up to 2 GB.
    """
    requested = await actions.request_export(session, person_id=user.account_id)
    return NewExport(id=requested.export_id, key=requested.key)


@router.get("/me/exports")
async def my_exports(session: SessionDep, user: CurrentUser) -> list[ExportView]:
    """The caller's copies of the last days, newest first."""
    found = await queries.exports(session, viewer=user.account_id)
    return [ExportView.model_validate(export) for export in found]


@router.get("/me/exports/{export_id}/archive", response_class=StreamingResponse, responses=_ZIP)
async def archive(
    export_id: UUID,
    request: Request,
    session: SessionDep,
    user: CurrentUser,
    key: ExportKey = None,
) -> StreamingResponse:
    """The archive (ZIP), for its owner with its key; anybody else finds nothing."""
    export = await queries.export(session, export_id=export_id, viewer=user.account_id)
    if export is None or export.state != ExportState.READY:
        raise NotFoundError
    private = opening(key or "", public=export.public_key)
    stored = await runtime_of(request).storage.stream(export.storage_key) if private else None
    if private is None or stored is None:
        raise NotFoundError
    content = unsealed(stored, private=private, context=export.id.bytes)
    try:
        first = await anext(content)
    except InvalidTag:
        raise UnavailableError("Cette copie est abîmée : demandez-en une autre.") from None
    return StreamingResponse(
        _after(first, content),
        media_type="application/zip",
        headers={
            "Content-Disposition": 'attachment; filename="mes-donnees-cci-business.zip"',
            "Content-Length": str(export.size),
        },
    )


async def _after(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in others:
        yield part
