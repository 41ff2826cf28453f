"""Who takes part, and what each declared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.privacy.models import Manifest, Missed, Participant, Step
from services.privacy.schemas.participants import ParticipantKind, ParticipantView


async def active_participants(session: AsyncSession) -> list[str]:
    """Names of those who take part in the next broadcast."""
    found = await session.scalars(
        select(col(Participant.name)).where(col(Participant.active)).order_by(col(Participant.name))
    )
    return list(found)


async def active_partners(session: AsyncSession) -> list[str]:
    """Names of the partner systems that take part: recipients whom the notice names."""
    found = await session.scalars(
        select(col(Participant.name))
        .where(col(Participant.active), col(Participant.kind) == ParticipantKind.PARTNER)
        .order_by(col(Participant.name))
    )
    return list(found)


async def participants(
    session: AsyncSession, *, name: str | None = None
) -> Sequence[ParticipantView]:
    """Every participant, or the one of that name, services first, with what it still owes."""
    owes = (
        select(func.count())
        .where(col(Step.participant) == col(Participant.name), col(Step.outcome).is_(None))
        .scalar_subquery()
    )
    missed = (
        select(func.count())
        .where(col(Missed.participant) == col(Participant.name), col(Missed.outcome).is_(None))
        .scalar_subquery()
    )
    statement = select(Participant, owes, missed).order_by(
        col(Participant.kind).desc(), col(Participant.name)
    )
    if name is not None:
        statement = statement.where(col(Participant.name) == name)
    return [
        ParticipantView(
            name=found.name,
            kind=ParticipantKind(found.kind),
            active=found.active,
            contact=found.contact,
            deadline_days=found.deadline_days,
            registered_at=found.registered_at,
            open_steps=open_steps,
            missed=unanswered,
        )
        for found, open_steps, unanswered in await session.execute(statement)
    ]


async def current_manifests(session: AsyncSession) -> dict[str, Manifest]:
    """The manifest that each service announced last."""
    found = await session.scalars(
        select(Manifest)
        .ext(distinct_on(col(Manifest.participant)))
        .order_by(col(Manifest.participant), col(Manifest.announced_at).desc())
    )
    return {manifest.participant: manifest for manifest in found}


@dataclass(frozen=True)
class Declared:
    """What a manifest says of a table that names people: how rows go, and what may stay."""

    fates: frozenset[str]
    holds: Mapping[str, int | None]
    """Days by hold; None without an end of its own."""
    purposes: Sequence[str]
    data: Sequence[str]
    """Labels of what is personal in it."""
    sources: Mapping[str, str]
    """Legal sources by hold."""


_declared: dict[str, Mapping[str, Declared]] = {}
"""By hash of the manifest, which stands for its content. There are few, and every answer and
certificate needs one of each participant."""


async def declared_tables(session: AsyncSession, *, manifest_hash: str) -> Mapping[str, Declared]:
    """The tables about people, by name, under which something was or is to be proven.

    Raises `LookupError` for a manifest that nobody announced.
    """
    if manifest_hash not in _declared:
        found = await session.scalars(
            select(col(Manifest.manifest)).where(col(Manifest.manifest_hash) == manifest_hash)
        )
        manifest = found.first()
        if manifest is None:
            raise LookupError(manifest_hash)
        _declared[manifest_hash] = {
            name: _table(table) for name, table in manifest["tables"].items() if table["subjects"]
        }
    return _declared[manifest_hash]


def _table(table: Mapping[str, Any]) -> Declared:
    subjects = table["subjects"].values()
    holds = [subject["hold"] for subject in subjects if subject.get("hold")]
    return Declared(
        fates=frozenset(subject["fate"] for subject in subjects),
        holds={hold["rule"]: hold.get("days") for hold in holds},
        purposes=sorted({subject["purpose"] for subject in subjects}),
        data=sorted(
            {
                column["label"]
                for column in table["columns"].values()
                if column["kind"] == "personal"
            }
        ),
        sources={hold["rule"]: hold["source"] for hold in holds},
    )
