"""What buyers do with consultations, and the clock: one function per intent."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock, outbox
from chassis.auth import Principal
from contracts.consultations import (
    ConsultationCancelled,
    ConsultationClosed,
    ConsultationPublished,
)
from services.consultations import queries
from services.consultations.errors import (
    CompanyNeededError,
    NotADraftError,
    NotAttachedError,
    UnknownCommunityError,
)
from services.consultations.models import Community, Consultation, ConsultationCommunity
from services.consultations.schemas import DraftChange, NewConsultation, State

_BATCH = 500

# Whoever acts for a company has had a row in `data_subject` since they were attached to it.


async def draft(
    session: AsyncSession, *, id: UUID, author: Principal, content: NewConsultation
) -> None:
    """Start a consultation for one of the author's companies.

    Raises `CompanyNeededError`, `NotAttachedError`, `LinkMismatchError`, `UnknownCommunityError`.
    """
    company_id = await _company(session, author=author, wanted=content.company_id)
    made = Consultation(
        id=id,
        company_id=company_id,
        author_id=author.account_id,
        created_at=clock.now(),
        **content.columns(leave_out={"company_id", "communities"}),
    )
    made.check_link()
    session.add(made)
    await session.flush()
    await _link(session, id, content.communities)


async def _company(session: AsyncSession, *, author: Principal, wanted: UUID | None) -> UUID:
    mine = await queries.companies(session, viewer=author)
    if wanted is None and len(mine) > 1:
        raise CompanyNeededError("Vous agissez pour plusieurs entreprises : dites laquelle.")
    if not mine or (wanted is not None and wanted not in mine):
        raise NotAttachedError("Rejoignez d'abord cette entreprise.")
    return wanted or mine.pop()


async def _link(session: AsyncSession, id: UUID, communities: Sequence[UUID]) -> None:
    known = await session.scalars(
        insert(ConsultationCommunity)
        .from_select(
            ["consultation_id", "community_id"],
            select(literal(id), col(Community.id)).where(col(Community.id).in_(communities)),
        )
        .returning(col(ConsultationCommunity.community_id))
    )
    if set(known) != set(communities):
        raise UnknownCommunityError("Choisissez parmi les communautés existantes.")


async def amend(session: AsyncSession, *, id: UUID, editor: Principal, change: DraftChange) -> None:
    """Change a draft of the editor's company.

    Raises `NotFoundError`, `NotAttachedError`, `NotADraftError`, `LinkMismatchError`,
    `UnknownCommunityError`.
    """
    found = await queries.consultation_to_manage(session, viewer=editor, id=id)
    found.amend(editor=editor.account_id, **change.columns(leave_out={"communities"}))
    if change.communities is not None:
        await session.execute(
            delete(ConsultationCommunity).where(col(ConsultationCommunity.consultation_id) == id)
        )
        await _link(session, id, change.communities)


async def discard(session: AsyncSession, *, id: UUID, editor: Principal) -> None:
    """Throw a draft away. Raises `NotFoundError`, `NotAttachedError`, `NotADraftError`."""
    found = await queries.consultation_to_manage(session, viewer=editor, id=id)
    if found.state != State.DRAFT:
        raise NotADraftError("Une consultation publiée s'annule, elle ne s'efface pas.")
    await session.delete(found)


async def publish(session: AsyncSession, *, id: UUID, editor: Principal) -> None:
    """Open a draft to its communities (N1.4).

    Raises `NotFoundError`, `NotAttachedError`, `NotADraftError`, `ClosingTimeError`.
    """
    found = await queries.consultation_to_manage(session, viewer=editor, id=id)
    found.publish(now=clock.now())
    communities = await session.scalars(
        select(col(ConsultationCommunity.community_id))
        .where(col(ConsultationCommunity.consultation_id) == id)
        .order_by(col(ConsultationCommunity.community_id))
    )
    outbox.publish(
        session,
        ConsultationPublished(
            consultation_id=id,
            company_id=found.company_id,
            community_ids=tuple(communities),
            closes_at=found.closes_at,
        ),
    )


async def close(session: AsyncSession, *, id: UUID, editor: Principal) -> None:
    """Close before the time; replies open. Raises `NotFoundError`, `NotAttachedError`,
    `NotOpenError`.
    """
    found = await queries.consultation_to_manage(session, viewer=editor, id=id)
    found.close(now=clock.now())
    outbox.publish(session, ConsultationClosed(consultation_id=id))


async def cancel(session: AsyncSession, *, id: UUID, editor: Principal) -> None:
    """Give up; replies stay sealed. Raises `NotFoundError`, `NotAttachedError`, `NotOpenError`."""
    found = await queries.consultation_to_manage(session, viewer=editor, id=id)
    found.cancel(now=clock.now())
    outbox.publish(session, ConsultationCancelled(consultation_id=id))


async def close_due(session: AsyncSession) -> int:
    """Close what is over, at the instant that was announced; returns how many, at most 500."""
    due = (
        select(col(Consultation.id))
        .where(
            col(Consultation.state) == State.PUBLISHED, col(Consultation.closes_at) <= clock.now()
        )
        .order_by(col(Consultation.closes_at))
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
    )
    closed = (
        await session.scalars(
            update(Consultation)
            .where(col(Consultation.id).in_(due))
            .values(state=State.CLOSED, ended_at=col(Consultation.closes_at))
            .returning(col(Consultation.id))
        )
    ).all()
    outbox.publish(session, *(ConsultationClosed(consultation_id=one) for one in closed))
    return len(closed)
