"""The notice in its versions, and the register of processing."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from chassis import clock
from chassis.auth import Role, require_role
from chassis.errors import NotFoundError
from chassis.session import SessionDep
from services.privacy.models import Notice
from services.privacy.queries import notices as queries
from services.privacy.queries.participants import active_partners, current_manifests
from services.privacy.schemas.notices import (
    NoticeDetail,
    NoticeVersionView,
    NoticeView,
    RegisterView,
)

router = APIRouter(prefix="/api/privacy", tags=["notices"])

Version = Annotated[str, Path(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80)]
Since = Annotated[str | None, Query(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80)]


@router.get("/notice")
async def notice(session: SessionDep) -> NoticeView:
    """The data-protection notice in force; its tables are what the services declare to hold."""
    found = await queries.notice_in_force(session)
    if found is None:
        raise NotFoundError
    manifests = await current_manifests(session)
    return NoticeView(
        version=found.version,
        in_force_from=found.in_force_from,
        content=found.content,
        processing=queries.processing([m.manifest for m in manifests.values()]),
        partners=await active_partners(session),
    )


@router.get("/register", dependencies=[Depends(require_role(Role.DPO))])
async def register(session: SessionDep) -> RegisterView:
    """The register of processing, from what runs (DPO; GDPR art. 30)."""
    manifests = await current_manifests(session)
    return RegisterView(
        generated_at=clock.now(),
        manifests={name: manifest.manifest_hash for name, manifest in manifests.items()},
        processing=queries.processing([m.manifest for m in manifests.values()]),
    )


@router.get("/notices")
async def notices(session: SessionDep) -> list[NoticeVersionView]:
    """Every version that was published, the newest first (N8.2)."""
    return [_version(found) for found in await queries.notices(session)]


@router.get("/notices/{version}")
async def notice_version(
    version: Version, session: SessionDep, since: Since = None
) -> NoticeDetail:
    """A version with its text and what changed since the one before, or since another one."""
    found = await session.get(Notice, version)
    if found is None:
        raise NotFoundError
    if since is None:
        before = await queries.notice_before(session, notice=found)
    elif (before := await session.get(Notice, since)) is None:
        raise NotFoundError
    return NoticeDetail(
        **_version(found).model_dump(),
        content=found.content,
        compared_with=before.version if before else None,
        changes=queries.changes(before.content if before else {}, found.content),
    )


def _version(found: Notice) -> NoticeVersionView:
    return NoticeVersionView(
        version=found.version,
        in_force_from=found.in_force_from,
        text_hash=queries.text_hash(found),
    )
