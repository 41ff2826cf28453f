"""What makes identity a service: one line per door."""

from chassis.service import Service
from chassis.settings import Settings as CommonSettings
from services.identity.api import internal_router, metadata_router, router
from services.identity.credentials import TokenKeys
from services.identity.jobs import JOBS
from services.identity.models import catalogue
from services.identity.settings import Settings


def _keys(settings: CommonSettings) -> TokenKeys:
    return TokenKeys.load(settings.secrets_dir / "tokens")


SERVICE = Service(
    name="identity",
    description="Accounts, credentials, sessions and tokens.",
    catalogue=catalogue,
    routers=(router, metadata_router, internal_router),
    jobs=JOBS,
    settings=Settings,
    keys=_keys,
)
