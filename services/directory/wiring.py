"""What makes the directory a service: one line per door."""

from chassis.service import Service
from services.directory.actions.images import MAX_BYTES
from services.directory.api import ROUTERS
from services.directory.erasure import RULES
from services.directory.jobs import JOBS
from services.directory.models import catalogue

SERVICE = Service(
    name="directory",
    description="People, companies, communities, memberships and their search.",
    catalogue=catalogue,
    routers=ROUTERS,
    jobs=JOBS,
    rules=RULES,
    body_limits={"/api/directory/me/photo": MAX_BYTES},
)
