"""Reads of consultations; who may see is part of every statement."""

from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ColumnElement, Select, and_, exists, false, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis.auth import Principal
from chassis.errors import NotFoundError
from chassis.pagination import cut, decode, encode
from contracts.directory import AttachmentRole
from services.consultations.errors import NotAttachedError
from services.consultations.models import (
    Animator,
    Attachment,
    Community,
    Consultation,
    ConsultationCommunity,
    Membership,
    Reply,
)
from services.consultations.schemas import (
    ConsultationDetail,
    ConsultationPage,
    ConsultationSummary,
    ContactView,
    OwnReply,
    OwnReplyPage,
    Receipt,
    RepliedCall,
    ReplyPage,
    ReplyState,
    ReplyView,
    State,
)

_SUMMARY = (
    col(Consultation.id),
    col(Consultation.company_id),
    col(Consultation.title),
    col(Consultation.kind),
    col(Consultation.state),
    col(Consultation.public),
    col(Consultation.closes_at),
    col(Consultation.published_at),
)


def _companies(viewer: Principal) -> Select[UUID]:
    """The companies that the viewer acts for."""
    return select(col(Attachment.company_id)).where(col(Attachment.person_id) == viewer.account_id)


def _mine(viewer: Principal | None) -> ColumnElement[bool]:
    """Consultations of the viewer's companies."""
    if viewer is None:
        return false()
    company_id = col(Consultation.company_id)
    # A company that left is nobody's, and that is a no: not SQL's "unknown".
    return and_(company_id.is_not(None), company_id.in_(_companies(viewer)))


def _inside(viewer: Principal | None) -> ColumnElement[bool]:
    """Consultations whose content the viewer may read: their company's at any time; once published,
    those of the communities they run, or belong to for a company that they still act for (N1.4).
    """
    if viewer is None:
        return false()
    joined = (
        select(col(Membership.community_id))
        .join(
            Attachment,
            and_(
                col(Attachment.person_id) == col(Membership.person_id),
                col(Attachment.company_id) == col(Membership.company_id),
            ),
        )
        .where(col(Membership.person_id) == viewer.account_id)
    )
    run = select(col(Animator.community_id)).where(col(Animator.person_id) == viewer.account_id)
    community_id = col(ConsultationCommunity.community_id)
    reached = _linked(or_(community_id.in_(joined), community_id.in_(run)))
    return or_(_mine(viewer), and_(col(Consultation.state) != State.DRAFT, reached))


def _visible(viewer: Principal | None) -> ColumnElement[bool]:
    """Consultations of whose existence the viewer may know."""
    return or_(
        _inside(viewer), and_(col(Consultation.state) != State.DRAFT, col(Consultation.public))
    )


def _linked(community: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(
        col(ConsultationCommunity.consultation_id) == col(Consultation.id), community
    )


def _communities() -> ColumnElement[Any]:
    """The communities of a consultation, as JSON, in the same statement."""
    described = func.json_build_object(
        "id", col(Community.id), "slug", col(Community.slug), "cci", col(Community.cci)
    )
    return (
        select(func.coalesce(func.json_agg(described), func.json_build_array(), type_=JSON))
        .select_from(ConsultationCommunity)
        .join(Community, col(Community.id) == col(ConsultationCommunity.community_id))
        .where(col(ConsultationCommunity.consultation_id) == col(Consultation.id))
        .correlate(Consultation)
        .scalar_subquery()
        .label("communities")
    )


async def consultations(
    session: AsyncSession,
    *,
    viewer: Principal | None,
    state: State | None,
    community: UUID | None,
    mine: bool,
    after: str | None,
    limit: int,
) -> ConsultationPage:
    """A page of what the viewer may know of, newest first; one statement.

    Raises `InvalidInputError` for a cursor that is not ours.
    """
    wanted = select(*_SUMMARY, _communities()).where(_mine(viewer) if mine else _visible(viewer))
    if state is not None:
        wanted = wanted.where(col(Consultation.state) == state)
    if community is not None:
        wanted = wanted.where(_linked(col(ConsultationCommunity.community_id) == community))
    if cursor := decode(after, UUID):
        wanted = wanted.where(col(Consultation.id) < cursor[0])
    rows = await session.execute(wanted.order_by(col(Consultation.id).desc()).limit(limit + 1))
    found = [ConsultationSummary.model_validate(row) for row in rows]
    items, following = cut(found, limit, lambda item: encode(item.id))
    return ConsultationPage(items=list(items), next=following)


async def consultation(
    session: AsyncSession, *, viewer: Principal | None, id: UUID
) -> ConsultationDetail | ConsultationSummary:
    """One consultation, in as much detail as the viewer may read; raises `NotFoundError`."""
    replies = (
        select(func.count())
        .where(
            col(Reply.consultation_id) == col(Consultation.id),
            col(Reply.state) == ReplyState.SUBMITTED,
        )
        .correlate(Consultation)
        .scalar_subquery()
    )
    row = (
        await session.execute(
            select(
                Consultation,
                _communities(),
                _inside(viewer).label("inside"),
                _mine(viewer).label("mine"),
                replies.label("replies"),
            ).where(col(Consultation.id) == id, _visible(viewer))
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError
    found: Consultation = row.Consultation
    content = {**found.model_dump(), "communities": row.communities}
    if not row.inside:
        return ConsultationSummary.model_validate(content)
    own = {"contact": found.contact, "mine": row.mine, "replies": row.replies if row.mine else None}
    return ConsultationDetail.model_validate(content | own)


async def consultation_to_manage(
    session: AsyncSession, *, viewer: Principal, id: UUID
) -> Consultation:
    """A consultation of one of the viewer's companies, locked for a change.

    Raises `NotFoundError` when the viewer may not know of it, `NotAttachedError` otherwise.
    """
    row = (
        await session.execute(
            select(Consultation, _mine(viewer).label("mine"))
            .where(col(Consultation.id) == id, _visible(viewer))
            .with_for_update(of=Consultation)
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError
    if not row.mine:
        raise NotAttachedError("Seules les personnes de l'entreprise acheteuse le peuvent.")
    found: Consultation = row.Consultation
    return found


async def consultation_to_reply(
    session: AsyncSession, *, viewer: Principal, id: UUID, company_id: UUID
) -> tuple[Consultation, bool, bool]:
    """A consultation, kept from closing meanwhile; whether the viewer acts for that company, and
    whether they are a member for it of one of the communities. Raises `NotFoundError`.
    """
    acts = exists().where(
        col(Attachment.person_id) == viewer.account_id, col(Attachment.company_id) == company_id
    )
    belongs = exists().where(
        col(Membership.person_id) == viewer.account_id,
        col(Membership.company_id) == company_id,
        col(Membership.community_id) == col(ConsultationCommunity.community_id),
        col(ConsultationCommunity.consultation_id) == col(Consultation.id),
    )
    row = (
        await session.execute(
            select(Consultation, acts.label("acts"), belongs.label("belongs"))
            .where(col(Consultation.id) == id, _visible(viewer))
            .with_for_update(of=Consultation, read=True)
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError
    return row.Consultation, row.acts, row.belongs


async def companies(session: AsyncSession, *, viewer: Principal) -> set[UUID]:
    """The companies that the viewer acts for."""
    return set(await session.scalars(_companies(viewer)))


def _own(viewer: Principal) -> ColumnElement[bool]:
    """Replies that the viewer wrote, or of a company that they act for."""
    return or_(
        col(Reply.person_id) == viewer.account_id, col(Reply.company_id).in_(_companies(viewer))
    )


def _readable(viewer: Principal) -> ColumnElement[bool]:
    """Replies that are opened to the viewer, beside their own: to the buyer, after the closing."""
    opened = and_(
        col(Consultation.state) == State.CLOSED,
        col(Reply.state) == ReplyState.SUBMITTED,
        _mine(viewer),
    )
    return or_(_own(viewer), opened)


async def replies(
    session: AsyncSession,
    *,
    viewer: Principal,
    consultation_id: UUID,
    after: str | None,
    limit: int,
) -> ReplyPage:
    """The replies that the viewer may read, newest first: none while they are sealed.

    Somebody who left the community still finds their own. Raises `NotFoundError` when there are none
    and the viewer may not know of the consultation either.
    """
    wanted = (
        select(Reply)
        .join(Consultation, col(Consultation.id) == col(Reply.consultation_id))
        .where(col(Reply.consultation_id) == consultation_id, _readable(viewer))
    )
    if cursor := decode(after, UUID):
        wanted = wanted.where(col(Reply.id) < cursor[0])
    rows = await session.scalars(wanted.order_by(col(Reply.id).desc()).limit(limit + 1))
    found = [reply_view(row) for row in rows]
    if not found:
        await consultation(session, viewer=viewer, id=consultation_id)
    items, following = cut(found, limit, lambda item: encode(item.id))
    return ReplyPage(items=list(items), next=following)


async def own_replies(
    session: AsyncSession, *, viewer: Principal, after: str | None, limit: int
) -> OwnReplyPage:
    """What the viewer and their companies replied, to whatever consultation, newest first.

    Raises `InvalidInputError` for a cursor that is not ours.
    """
    wanted = (
        select(Reply, Consultation)
        .join(Consultation, col(Consultation.id) == col(Reply.consultation_id))
        .where(_own(viewer))
    )
    if cursor := decode(after, UUID):
        wanted = wanted.where(col(Reply.id) < cursor[0])
    rows = await session.execute(wanted.order_by(col(Reply.id).desc()).limit(limit + 1))
    found = [
        OwnReply(
            **reply_view(reply).model_dump(),
            consultation=RepliedCall.model_validate(call.model_dump()),
        )
        for reply, call in rows
    ]
    items, following = cut(found, limit, lambda item: encode(item.id))
    return OwnReplyPage(items=list(items), next=following)


async def reply(session: AsyncSession, *, viewer: Principal, id: UUID) -> Reply:
    """A reply that the viewer may read; raises `NotFoundError`."""
    found: Reply | None = await session.scalar(
        select(Reply)
        .join(Consultation, col(Consultation.id) == col(Reply.consultation_id))
        .where(col(Reply.id) == id, _readable(viewer))
    )
    if found is None:
        raise NotFoundError
    return found


async def reply_to_withdraw(
    session: AsyncSession, *, viewer: Principal, consultation_id: UUID, id: UUID
) -> tuple[Consultation, Reply, AttachmentRole | None]:
    """One of the viewer's own replies, locked, with its consultation, kept from closing meanwhile,
    and what the viewer may do for its company. Raises `NotFoundError`.
    """
    parent: Consultation | None = await session.scalar(
        select(Consultation)
        .join(Reply, col(Reply.consultation_id) == col(Consultation.id))
        .where(col(Consultation.id) == consultation_id, col(Reply.id) == id, _own(viewer))
        .with_for_update(of=Consultation, read=True)
    )
    if parent is None:
        raise NotFoundError
    role = (
        select(col(Attachment.role))
        .where(
            col(Attachment.person_id) == viewer.account_id,
            col(Attachment.company_id) == col(Reply.company_id),
        )
        .correlate(Reply)
        .scalar_subquery()
    )
    row = (
        await session.execute(
            select(Reply, role.label("role"))
            .where(col(Reply.id) == id, _own(viewer))
            .with_for_update(of=Reply)
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError
    return parent, row.Reply, AttachmentRole(row.role) if row.role else None


def reply_view(reply: Reply) -> ReplyView:
    """A reply for people who may read it."""
    return ReplyView(
        id=reply.id,
        consultation_id=reply.consultation_id,
        company_id=reply.company_id,
        author_id=reply.person_id,
        state=ReplyState(reply.state),
        message=reply.message,
        contact=ContactView(**reply.contact) if reply.contact else None,
        withdrawn_at=reply.withdrawn_at,
        receipt=Receipt(number=reply.number, submitted_at=reply.submitted_at, sha256=reply.sha256),
    )
