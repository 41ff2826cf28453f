"""The HTTP door of the directory, by noun."""

from services.directory.api.communities import router as communities_router
from services.directory.api.companies import router as companies_router
from services.directory.api.memberships import router as memberships_router
from services.directory.api.people import router as people_router
from services.directory.api.reference import router as reference_router

ROUTERS = (
    people_router,
    companies_router,
    communities_router,
    memberships_router,
    reference_router,
)
