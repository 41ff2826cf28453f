"""Who takes part in erasures: the platform's services, and partner systems that an operator admits."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, not_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock
from chassis.errors import NotFoundError
from contracts.registry import LISTENERS
from services.privacy.actions import missed
from services.privacy.errors import (
    ParticipantExistsError,
    ParticipantLeftError,
    ServiceParticipantError,
)
from services.privacy.models import Participant
from services.privacy.schemas.participants import ParticipantKind


class MissingKeyError(Exception):
    """A service of the platform cannot take part in erasures, as nobody could believe its evidence."""


@dataclass(frozen=True)
class Admission:
    """A partner's place on the broker."""

    name: str
    user: str
    password: str
    queue: str


async def trust_services(
    session: AsyncSession, *, keys: Mapping[str, dict[str, Any]], broker_prefix: str
) -> None:
    """Register the platform's services with the public keys that the operator deployed.

    Raises `MissingKeyError` when one is absent: its service would never be asked to forget anybody,
    and every erasure would look complete without it.
    """
    if absent := sorted(LISTENERS.keys() - keys.keys()):
        raise MissingKeyError(f"no public key in the folder of evidence for: {', '.join(absent)}")
    for name, key in keys.items():
        values = {"broker_user": f"{broker_prefix}{name}", "public_key": key, "active": True}
        await session.execute(
            insert(Participant)
            .values(
                name=name,
                kind=ParticipantKind.SERVICE,
                registered_at=clock.now(),
                deadline_days=30,
                **values,
            )
            .on_conflict_do_update(index_elements=["name"], set_=values)
        )


async def admit_partner(
    session: AsyncSession, *, name: str, contact: str, deadline_days: int, broker_prefix: str
) -> Admission:
    """Register a partner system; from the next broadcast on it is told, and must answer.

    One that was removed may come back under its name, for the same contact only: its old answers and
    open steps stay attributed to whom they belong, and it is told what it missed (`actions.missed`). Raises `ParticipantExistsError`. The caller makes
    its user and queue before this commits.
    """
    statement = insert(Participant).values(
        name=name,
        kind=ParticipantKind.PARTNER,
        broker_user=f"{broker_prefix}ext-{name}",
        contact=contact,
        deadline_days=deadline_days,
        active=True,
        registered_at=clock.now(),
    )
    added = await session.scalar(
        statement.on_conflict_do_update(
            index_elements=["name"],
            set_={"active": True, "deadline_days": deadline_days},
            where=and_(
                col(Participant.kind) == ParticipantKind.PARTNER,
                not_(col(Participant.active)),
                func.lower(col(Participant.contact)) == contact.lower(),
            ),
        ).returning(Participant.name)  # type: ignore[call-overload]
    )
    if added is None:
        raise ParticipantExistsError(
            "Choisissez un autre nom. Un système qui a été retiré ne reprend le sien qu'avec le même "
            "contact."
        )
    await missed.begin_again(session, participant=name)
    return _admission(name, broker_prefix)


async def renew_credentials(session: AsyncSession, *, name: str, broker_prefix: str) -> Admission:
    """Draw another password for a partner. The caller tells the broker before this commits.

    Raises `NotFoundError`, `ServiceParticipantError` and `ParticipantLeftError`.
    """
    partner = await _partner(session, name=name)
    if not partner.active:
        raise ParticipantLeftError("Enregistrez-le de nouveau, avec le même contact.")
    return _admission(name, broker_prefix)


async def dismiss_partner(session: AsyncSession, *, name: str) -> None:
    """Let a partner go: it takes part in no later broadcast. What it has not answered stays open.

    The caller takes its place on the broker away before this commits. Once more changes nothing.
    Raises `NotFoundError` and `ServiceParticipantError`.
    """
    partner = await _partner(session, name=name)
    partner.active = False


async def _partner(session: AsyncSession, *, name: str) -> Participant:
    """The partner of that name, locked: two operators act one after the other."""
    found = await session.get(Participant, name, with_for_update=True)
    if found is None:
        raise NotFoundError
    if found.kind != ParticipantKind.PARTNER:
        raise ServiceParticipantError("Il ne peut être ni retiré, ni recevoir un mot de passe ici.")
    return found


def _admission(name: str, broker_prefix: str) -> Admission:
    return Admission(
        name=name,
        user=f"{broker_prefix}ext-{name}",
        password=secrets.token_urlsafe(32),
        queue=f"ext.{name}.events",
    )
