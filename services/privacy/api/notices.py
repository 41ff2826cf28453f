"""The notice, the register of processing, and consents."""

from fastapi import APIRouter, Depends

from chassis import clock
from chassis.auth import CurrentUser, Role, require_role
from chassis.errors import NotFoundError
from chassis.session import SessionDep
from services.privacy.queries import notices as queries
from services.privacy.queries.participants import current_manifests
from services.privacy.schemas.notices import ConsentView, NoticeView, RegisterView

router = APIRouter(prefix="/api/privacy", tags=["notices"])


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


@router.get("/me/consents")
async def consents(session: SessionDep, user: CurrentUser) -> list[ConsentView]:
    """What the caller agreed to, and when."""
    return [
        ConsentView.model_validate(found) for found in await queries.consents(session, viewer=user)
    ]
