"""What makes notifications a service: one line per door."""

from chassis.service import Service
from services.notifications.api import router
from services.notifications.consumers import HANDLERS
from services.notifications.jobs import JOBS
from services.notifications.models import catalogue
from services.notifications.settings import Settings

SERVICE = Service(
    name="notifications",
    description="Mails, newsletters and their subscriptions, notices on the site.",
    catalogue=catalogue,
    routers=(router,),
    handlers=HANDLERS,
    jobs=JOBS,
    settings=Settings,
)
