"""Who takes part in erasures."""

from http import HTTPStatus
from urllib.parse import urlsplit

import httpx2
from fastapi import APIRouter, Depends, Request

from chassis import topology
from chassis.auth import Role, require_role
from chassis.session import SessionDep, runtime_of
from chassis.topology import TopologyError
from contracts.base import Kind
from contracts.directory import MembershipEnded, MembershipGranted
from contracts.privacy import PartnerAcknowledged
from services.privacy.actions import participants as actions
from services.privacy.errors import BrokerRefusedError
from services.privacy.queries import participants as queries
from services.privacy.schemas.participants import (
    NewParticipant,
    ParticipantCredentials,
    ParticipantView,
)

router = APIRouter(prefix="/api/privacy", tags=["participants"])

PARTNER_FACTS = (MembershipGranted, MembershipEnded)
"""What a partner hears of besides erasures: who belongs to which community, by opaque id."""


@router.get("/participants", dependencies=[Depends(require_role(Role.OPERATOR, Role.DPO))])
async def participants(session: SessionDep) -> list[ParticipantView]:
    """Services and partner systems (operators, DPO)."""
    return [ParticipantView.model_validate(found) for found in await queries.participants(session)]


@router.post(
    "/participants",
    status_code=HTTPStatus.CREATED,
    dependencies=[Depends(require_role(Role.OPERATOR))],
)
async def admit(
    body: NewParticipant, request: Request, session: SessionDep
) -> ParticipantCredentials:
    """Register a partner system and make its place on the broker (operators)."""
    settings = runtime_of(request).settings
    admission = await actions.admit_partner(
        session,
        name=body.name,
        contact=body.contact,
        deadline_days=body.deadline_days,
        broker_prefix=settings.broker_prefix,
    )
    admin = urlsplit(settings.broker_admin_url)
    vhost = admin.path.removeprefix("/")
    wanted = topology.partner_definitions(
        vhost=vhost,
        name=admission.name,
        password=admission.password,
        facts=PARTNER_FACTS,
        prefix=settings.broker_prefix,
    )
    try:
        await topology.apply(admin._replace(path="").geturl(), wanted)
    except (TopologyError, httpx2.HTTPError) as error:
        raise BrokerRefusedError("Rien n'a été enregistré : réessayez.") from error
    return ParticipantCredentials(
        name=admission.name,
        user=admission.user,
        password=admission.password,
        vhost=vhost,
        queue=admission.queue,
        exchange=Kind.ANSWER.value,
        routing_key=PartnerAcknowledged.routing_key(),
    )
