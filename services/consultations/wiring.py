"""What makes consultations a service: one line per door."""

from chassis.service import Service
from services.consultations.api import own, router
from services.consultations.consumers import HANDLERS
from services.consultations.jobs import JOBS
from services.consultations.models import catalogue

SERVICE = Service(
    name="consultations",
    description="Consultations of buyers and the sealed replies of members.",
    catalogue=catalogue,
    routers=(router, own),
    handlers=HANDLERS,
    jobs=JOBS,
)
