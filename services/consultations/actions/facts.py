"""What directory tells, kept as far as it is needed here. Each may be told twice."""

from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock, outbox, subjects
from contracts.consultations import ConsultationCancelled, ReplyWithdrawn
from contracts.directory import AttachmentRole
from services.consultations.models import (
    Animator,
    Attachment,
    Community,
    Consultation,
    Membership,
    Reply,
)
from services.consultations.schemas import ReplyState, State

_BLIND = {"synchronize_session": False}
"""The session holds none of these rows; looking for them costs more than the statements."""


async def attach(
    session: AsyncSession, *, person_id: UUID, company_id: UUID, role: AttachmentRole
) -> None:
    """A person acts for a company; told again, with another role."""
    await subjects.ensure(session, person_id)
    await session.execute(
        insert(Attachment)
        .values(person_id=person_id, company_id=company_id, role=role)
        .on_conflict_do_update(index_elements=["person_id", "company_id"], set_={"role": role})
    )


async def detach(session: AsyncSession, *, person_id: UUID, company_id: UUID) -> None:
    """A person no longer acts for a company; their memberships for it count no more."""
    await session.execute(
        delete(Attachment).where(
            col(Attachment.person_id) == person_id, col(Attachment.company_id) == company_id
        )
    )


async def open_community(session: AsyncSession, *, id: UUID, slug: str, cci: str) -> None:
    """A community exists."""
    await session.execute(
        insert(Community)
        .values(id=id, slug=slug, cci=cci)
        .on_conflict_do_update(index_elements=["id"], set_={"slug": slug, "cci": cci})
    )


async def appoint(session: AsyncSession, *, person_id: UUID, community_id: UUID) -> None:
    """A person runs a community."""
    await subjects.ensure(session, person_id)
    await session.execute(
        insert(Animator)
        .values(person_id=person_id, community_id=community_id)
        .on_conflict_do_nothing()
    )


async def dismiss(session: AsyncSession, *, person_id: UUID, community_id: UUID) -> None:
    """A person no longer runs a community."""
    await session.execute(
        delete(Animator).where(
            col(Animator.person_id) == person_id, col(Animator.community_id) == community_id
        )
    )


async def grant(
    session: AsyncSession, *, id: UUID, person_id: UUID, company_id: UUID, community_id: UUID
) -> None:
    """A person is a member of a community, for a company."""
    await subjects.ensure(session, person_id)
    await session.execute(
        insert(Membership)
        .values(id=id, person_id=person_id, company_id=company_id, community_id=community_id)
        .on_conflict_do_nothing()
    )


async def end_membership(session: AsyncSession, *, id: UUID) -> None:
    """A person left a community."""
    await session.execute(delete(Membership).where(col(Membership.id) == id))


async def company_left(session: AsyncSession, *, company_id: UUID) -> None:
    """A company is gone: nobody acts for it, its calls are cancelled, its drafts dropped, its replies
    to open calls withdrawn. The record of the rest stays, and names no company any more (E4).
    """
    now = clock.now()
    await session.execute(
        delete(Attachment).where(col(Attachment.company_id) == company_id), execution_options=_BLIND
    )
    await session.execute(
        delete(Consultation).where(
            col(Consultation.company_id) == company_id, col(Consultation.state) == State.DRAFT
        ),
        execution_options=_BLIND,
    )
    cancelled = await session.scalars(
        update(Consultation)
        .where(
            col(Consultation.company_id) == company_id,
            col(Consultation.state) == State.PUBLISHED,
        )
        .values(state=State.CANCELLED, ended_at=now)
        .returning(col(Consultation.id)),
        execution_options=_BLIND,
    )
    outbox.publish(session, *(ConsultationCancelled(consultation_id=one) for one in cancelled))
    withdrawn = await session.execute(
        update(Reply)
        .where(
            col(Reply.company_id) == company_id,
            col(Reply.state) == ReplyState.SUBMITTED,
            col(Reply.consultation_id).in_(
                select(col(Consultation.id)).where(col(Consultation.state) == State.PUBLISHED)
            ),
        )
        .values(
            state=ReplyState.WITHDRAWN,
            withdrawn_at=now,
            message=None,
            contact_name=None,
            contact_email=None,
            contact_phone=None,
        )
        .returning(col(Reply.id), col(Reply.consultation_id)),
        execution_options=_BLIND,
    )
    outbox.publish(
        session,
        *(
            ReplyWithdrawn(reply_id=reply_id, consultation_id=parent, company_id=company_id)
            for reply_id, parent in withdrawn
        ),
    )
    for table in (Consultation, Reply):
        await session.execute(
            update(table).where(col(table.company_id) == company_id).values(company_id=None),
            execution_options=_BLIND,
        )
