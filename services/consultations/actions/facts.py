"""What directory tells, kept as far as it is needed here. Each may be told twice."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, bindparam, delete, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid
from sqlmodel import col

from chassis import clock, outbox, subjects
from chassis.tables import Instant
from contracts.consultations import ConsultationCancelled, ReplyWithdrawn
from contracts.directory import AttachmentRole
from services.consultations.models import (
    Animator,
    Attachment,
    Community,
    Membership,
)


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


async def companies_left(session: AsyncSession, *, company_ids: Sequence[UUID]) -> None:
    """Companies are gone: nobody acts for them, their calls are cancelled, their drafts dropped, their
    replies to open calls withdrawn. The record of the rest stays, and names no company any more (E4).
    """
    about = {"companies": sorted(set(company_ids)), "now": clock.now()}
    await session.execute(_NOBODY_ACTS, about)
    await session.execute(_DROP_DRAFTS, about)
    cancelled = await session.scalars(_CANCEL, about)
    outbox.publish(session, *(ConsultationCancelled(consultation_id=one) for one in cancelled))
    withdrawn = await session.execute(_WITHDRAW, about)
    outbox.publish(
        session,
        *(
            ReplyWithdrawn(reply_id=reply_id, consultation_id=parent, company_id=company_id)
            for reply_id, parent, company_id in withdrawn
        ),
    )
    await session.execute(_FORGET_CALLS, about)
    await session.execute(_FORGET_REPLIES, about)


def _about_companies(statement: str) -> TextClause:
    """In plain words, for however many: a bulk erasure ends hundreds at once."""
    known: dict[str, Any] = {"companies": ARRAY(Uuid), "now": Instant}
    return text(statement).bindparams(
        *(bindparam(name, type_=kind) for name, kind in known.items() if f":{name}" in statement)
    )


_NOBODY_ACTS = _about_companies("DELETE FROM attachment WHERE company_id = ANY(:companies)")
_DROP_DRAFTS = _about_companies(
    "DELETE FROM consultation WHERE company_id = ANY(:companies) AND state = 'draft'"
)
_CANCEL = _about_companies(
    "UPDATE consultation SET state = 'cancelled', ended_at = :now"
    " WHERE company_id = ANY(:companies) AND state = 'published' RETURNING id"
)
_WITHDRAW = _about_companies(
    """
    UPDATE reply SET state = 'withdrawn', withdrawn_at = :now,
        message = NULL, contact_name = NULL, contact_email = NULL, contact_phone = NULL
    WHERE company_id = ANY(:companies) AND state = 'submitted'
      AND consultation_id IN (SELECT id FROM consultation WHERE state = 'published')
    RETURNING id, consultation_id, company_id
    """
)
_FORGET_CALLS = _about_companies(
    "UPDATE consultation SET company_id = NULL WHERE company_id = ANY(:companies)"
)
_FORGET_REPLIES = _about_companies(
    "UPDATE reply SET company_id = NULL WHERE company_id = ANY(:companies)"
)
