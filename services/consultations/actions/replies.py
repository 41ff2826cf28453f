"""What members do with replies: one function per intent."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock, outbox
from chassis.auth import Principal
from contracts.consultations import ReplySubmitted, ReplyWithdrawn
from services.consultations import queries
from services.consultations.errors import (
    AlreadyRepliedError,
    NotAMemberError,
    NotAttachedError,
)
from services.consultations.models import LIVE, Reply
from services.consultations.schemas import NewReply, ReplyState


async def submit(
    session: AsyncSession,
    *,
    id: UUID,
    consultation_id: UUID,
    author: Principal,
    content: NewReply,
) -> None:
    """Reply for a company, sealed until the closing.

    Raises `NotFoundError`, `NotAttachedError`, `NotAMemberError`, `AlreadyRepliedError` and what
    `Consultation.check_reply` raises.
    """
    now = clock.now()
    found, acts, belongs = await queries.consultation_to_reply(
        session, viewer=author, id=consultation_id, company_id=content.company_id
    )
    if not acts:
        raise NotAttachedError("Répondez pour une entreprise à laquelle vous êtes rattaché.")
    found.check_reply(company_id=content.company_id, now=now)
    if not belongs:
        raise NotAMemberError("Rejoignez d'abord l'une de ces communautés.")
    submitted = await session.scalar(
        insert(Reply)
        .values(
            id=id,
            consultation_id=consultation_id,
            person_id=author.account_id,
            state=ReplyState.SUBMITTED,
            submitted_at=now,
            **content.columns(leave_out=set()),
        )
        .on_conflict_do_nothing(
            index_elements=["consultation_id", "company_id"],
            index_where=text(LIVE),
        )
        .returning(col(Reply.id))
    )
    if submitted is None:
        raise AlreadyRepliedError("Retirez d'abord la réponse précédente.")
    outbox.publish(
        session,
        ReplySubmitted(
            reply_id=id,
            consultation_id=consultation_id,
            company_id=content.company_id,
            person_id=author.account_id,
        ),
    )


async def withdraw(
    session: AsyncSession, *, id: UUID, consultation_id: UUID, person: Principal
) -> None:
    """Take a reply back while the consultation is open; what it said is forgotten.

    Raises `NotFoundError`, `NotOpenError` and what `Reply.withdraw` raises.
    """
    now = clock.now()
    parent, found, role = await queries.reply_to_withdraw(
        session, viewer=person, consultation_id=consultation_id, id=id
    )
    parent.check_open(now=now)
    found.withdraw(by=person.account_id, role=role, now=now)
    outbox.publish(
        session,
        ReplyWithdrawn(reply_id=id, consultation_id=consultation_id, company_id=found.company_id),
    )
