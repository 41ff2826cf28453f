"""Official codes for forms, over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Query

from services.directory.queries import codes
from services.directory.schemas.reference import ActivityView, CommuneView

router = APIRouter(prefix="/api/directory/reference", tags=["reference"])

Wanted = Annotated[str, Query(min_length=2, max_length=100)]


@router.get("/communes")
async def communes(q: Wanted) -> list[CommuneView]:
    """Up to 20 communes whose name begins so, or with this postcode or code; largest first."""
    return codes.communes(q)


@router.get("/naf")
async def activities(q: Wanted) -> list[ActivityView]:
    """Up to 20 activity codes whose code or label has these words."""
    return codes.activities(q)
