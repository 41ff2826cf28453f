"""The HTTP door of privacy."""

from services.privacy.api.certificates import router as certificates_router
from services.privacy.api.erasures import router as erasures_router
from services.privacy.api.escalations import router as escalations_router
from services.privacy.api.notices import router as notices_router
from services.privacy.api.participants import router as participants_router

routers = (
    erasures_router,
    certificates_router,
    escalations_router,
    notices_router,
    participants_router,
)
