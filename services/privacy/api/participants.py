"""Who takes part in erasures."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit

import httpx2
from fastapi import APIRouter, Depends, Request, Response
from fastapi import Path as PathParameter

from chassis import audit, topology
from chassis.auth import Principal, Role, require_role
from chassis.pagination import DEFAULT_LIMIT, After, Limit, cut, decode, encode, link
from chassis.session import SessionDep, runtime_of
from chassis.topology import TopologyError
from contracts.base import Kind
from contracts.privacy import PartnerAcknowledged
from contracts.registry import PARTNERS_HEAR
from services.privacy.actions import participants as actions
from services.privacy.errors import BrokerRefusedError
from services.privacy.queries import missed as missed_queries
from services.privacy.queries import participants as queries
from services.privacy.schemas.missed import MissedPage
from services.privacy.schemas.participants import (
    NewParticipant,
    ParticipantCredentials,
    ParticipantView,
)

router = APIRouter(prefix="/api/privacy", tags=["participants"])

PARTNER_FACTS = tuple(event for event in PARTNERS_HEAR if event.kind is Kind.FACT)
"""What a partner hears of besides erasures: who belongs to which community, by opaque id."""


Operator = Annotated[Principal, Depends(require_role(Role.OPERATOR))]
Name = Annotated[str, PathParameter(max_length=41)]


@router.get("/participants", dependencies=[Depends(require_role(Role.OPERATOR, Role.DPO))])
async def participants(session: SessionDep) -> list[ParticipantView]:
    """Services and partner systems, with what they have not answered (operators, DPO)."""
    return list(await queries.participants(session))


@router.post("/participants", status_code=HTTPStatus.CREATED)
async def admit(
    body: NewParticipant, request: Request, session: SessionDep, user: Operator
) -> ParticipantCredentials:
    """Register a partner system and make its place on the broker (operators).

    One that was removed comes back in the same way, with the same contact, and is told what it missed.
    """
    admission = await actions.admit_partner(
        session,
        name=body.name,
        contact=body.contact,
        deadline_days=body.deadline_days,
        broker_prefix=runtime_of(request).settings.broker_prefix,
    )
    await _note(session, user, "participants.admit", body.name)
    return await _settled(request, admission)


@router.post("/participants/{name}/credentials", status_code=HTTPStatus.CREATED)
async def rotate(
    name: Name, request: Request, session: SessionDep, user: Operator
) -> ParticipantCredentials:
    """Give a partner another password; the old one and its connections end at once (operators)."""
    admission = await actions.renew_credentials(
        session, name=name, broker_prefix=runtime_of(request).settings.broker_prefix
    )
    await _note(session, user, "participants.rotate", name)
    return await _settled(request, admission)


@router.get(
    "/participants/{name}/missed",
    dependencies=[Depends(require_role(Role.OPERATOR, Role.DPO))],
)
async def missed(
    name: Name,
    request: Request,
    response: Response,
    session: SessionDep,
    *,
    after: After = None,
    limit: Limit = DEFAULT_LIMIT,
) -> MissedPage:
    """Broadcasts while it was away, the newest first, and its answers since (operators, DPO)."""
    cursor = decode(after, _position)
    rows = await missed_queries.missed_positions(
        session, participant=name, before=cursor[0] if cursor else None, limit=limit + 1
    )
    page, following = cut(rows, limit, lambda row: encode(row.position))
    link(request, response, following)
    return MissedPage(items=list(page), next=following)


@router.delete("/participants/{name}")
async def remove(
    name: Name, request: Request, session: SessionDep, user: Operator
) -> ParticipantView:
    """Let a partner go: its user, its queue and what waits in it are deleted (operators).

    Erasures that it has not answered stay open; the answer says how many. The DPO may waive them.
    """
    await actions.dismiss_partner(session, name=name)
    await session.flush()
    [left] = await queries.participants(session, name=name)
    await _note(session, user, "participants.remove", name, open_steps=left.open_steps)
    management_url, vhost = _broker(request)
    with _broker_answers():
        await topology.remove_partner(
            management_url,
            vhost=vhost,
            name=name,
            prefix=runtime_of(request).settings.broker_prefix,
        )
    return left


def _position(value: object) -> int:
    position = int(str(value))
    if position not in range(2**63):
        raise ValueError(value)
    return position


async def _note(session: SessionDep, user: Principal, action: str, name: str, **about: int) -> None:
    await audit.note(session, person_id=user.account_id, action=action, participant=name, **about)


async def _settled(request: Request, admission: actions.Admission) -> ParticipantCredentials:
    """Tell the broker; what it refuses is not written down either."""
    management_url, vhost = _broker(request)
    wanted = topology.partner_definitions(
        vhost=vhost,
        name=admission.name,
        password=admission.password,
        facts=PARTNER_FACTS,
        prefix=runtime_of(request).settings.broker_prefix,
    )
    with _broker_answers():
        await topology.settle_partner(management_url, wanted)
    return ParticipantCredentials(
        name=admission.name,
        user=admission.user,
        password=admission.password,
        vhost=vhost,
        queue=admission.queue,
        exchange=Kind.ANSWER.value,
        routing_key=PartnerAcknowledged.routing_key(),
    )


def _broker(request: Request) -> tuple[str, str]:
    """Where the broker is administered, and the virtual host."""
    admin = urlsplit(runtime_of(request).settings.broker_admin_url)
    return admin._replace(path="").geturl(), admin.path.removeprefix("/")


@contextmanager
def _broker_answers() -> Iterator[None]:
    try:
        yield
    except (TopologyError, httpx2.HTTPError) as error:
        raise BrokerRefusedError("Rien n'a été enregistré : réessayez.") from error
