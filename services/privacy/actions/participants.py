"""Who takes part in erasures: the platform's services, and partner systems that an operator admits."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import clock
from services.privacy.errors import ParticipantExistsError
from services.privacy.models import Participant
from services.privacy.schemas.participants import ParticipantKind


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
    """Register the platform's services with the public keys that the operator deployed."""
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

    Raises `ParticipantExistsError`. The caller makes its user and queue before this commits.
    """
    added = await session.scalar(
        insert(Participant)
        .values(
            name=name,
            kind=ParticipantKind.PARTNER,
            broker_user=f"{broker_prefix}ext-{name}",
            contact=contact,
            deadline_days=deadline_days,
            active=True,
            registered_at=clock.now(),
        )
        .on_conflict_do_nothing()
        .returning(Participant.name)  # type: ignore[call-overload]
    )
    if added is None:
        raise ParticipantExistsError("Choisissez un autre nom.")
    return Admission(
        name=name,
        user=f"{broker_prefix}ext-{name}",
        password=secrets.token_urlsafe(32),
        queue=f"ext.{name}.events",
    )
