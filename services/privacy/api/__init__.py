"""The HTTP door of privacy."""

from services.privacy.api.certificates import router as certificates_router
from services.privacy.api.consents import router as consents_router
from services.privacy.api.cookies import router as cookies_router
from services.privacy.api.erasures import router as erasures_router
from services.privacy.api.escalations import router as escalations_router
from services.privacy.api.exports import router as exports_router
from services.privacy.api.notices import router as notices_router
from services.privacy.api.participants import router as participants_router
from services.privacy.api.retention import router as retention_router
from services.privacy.api.rights import router as rights_router
from services.privacy.api.rights_handling import router as rights_handling_router

routers = (
    erasures_router,
    certificates_router,
    escalations_router,
    exports_router,
    notices_router,
    participants_router,
    retention_router,
    rights_router,
    rights_handling_router,
    consents_router,
    cookies_router,
)
