"""Profiles and photos over HTTP."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from chassis import crash
from chassis.auth import CurrentUser
from chassis.errors import NotFoundError
from chassis.session import SessionDep, runtime_of
from services.directory.actions import images
from services.directory.actions import people as actions
from services.directory.api.callers import CurrentViewer
from services.directory.queries import people as queries
from services.directory.schemas.people import PersonView, ProfileForm, ProfileView

router = APIRouter(prefix="/api/directory", tags=["people"])

_PICTURE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}} for kind in images.ACCEPTED
        },
    }
}
_WEBP: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/webp": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.put("/me/profile")
async def save_profile(body: ProfileForm, session: SessionDep, user: CurrentUser) -> ProfileView:
    """Write the caller's profile, the whole of it."""
    await actions.save_profile(session, person_id=user.account_id, form=body)
    return await queries.own_profile(session, viewer=user.account_id)


@router.get("/me/profile")
async def own_profile(session: SessionDep, user: CurrentUser) -> ProfileView:
    """The caller's profile."""
    return await queries.own_profile(session, viewer=user.account_id)


@router.delete("/me/profile", status_code=HTTPStatus.NO_CONTENT)
async def withdraw_profile(session: SessionDep, user: CurrentUser) -> None:
    """Delete the caller's profile and photo."""
    await actions.withdraw_profile(session, person_id=user.account_id)


@router.put("/me/photo", status_code=HTTPStatus.NO_CONTENT, openapi_extra=_PICTURE)
async def save_photo(request: Request, session: SessionDep, user: CurrentUser) -> None:
    """Replace the caller's photo: the bytes of a JPEG, PNG or WebP of up to 5 MB.

    It is cut square and kept without what the camera wrote into it.
    """
    content = await images.normalised(await request.body())
    runtime = runtime_of(request)
    async with runtime.db.transaction() as announcing:
        key = await actions.announce_photo(announcing, person_id=user.account_id)
    crash.point("directory.after_photo_announced")
    await actions.store_photo(
        session, storage=runtime.storage, key=key, person_id=user.account_id, content=content
    )


@router.get("/me/photo", response_class=Response, responses=_WEBP)
async def own_photo(request: Request, session: SessionDep, user: CurrentUser) -> Response:
    """The caller's photo."""
    return await _picture(request, await queries.own_photo_key(session, viewer=user.account_id))


@router.delete("/me/photo", status_code=HTTPStatus.NO_CONTENT)
async def withdraw_photo(session: SessionDep, user: CurrentUser) -> None:
    """Take the caller's photo down."""
    await actions.withdraw_photo(session, person_id=user.account_id)


@router.get("/people/{person_id}")
async def person(person_id: UUID, session: SessionDep, viewer: CurrentViewer) -> PersonView:
    """A member, for those who share a community, run one of theirs, or administer their company."""
    return await queries.person(session, person_id=person_id, viewer=viewer)


@router.get("/people/{person_id}/photo", response_class=Response, responses=_WEBP)
async def photo(
    person_id: UUID, request: Request, session: SessionDep, viewer: CurrentViewer
) -> Response:
    """A member's photo, for those who may see the member."""
    key = await queries.photo_key(session, person_id=person_id, viewer=viewer)
    return await _picture(request, key)


async def _picture(request: Request, key: str) -> Response:
    content = await runtime_of(request).storage.get(key)
    if content is None:
        raise NotFoundError
    return Response(content, media_type="image/webp")
