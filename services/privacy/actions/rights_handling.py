"""What the DPO does with a rights request, and what time does."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, exists, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock, outbox, subjects
from chassis.errors import NotFoundError
from contracts.privacy import Right, RightsRequestClosed
from services.privacy.actions.rights import belongs_to, forget_subjects, note, set_off, write
from services.privacy.credentials import seal
from services.privacy.errors import RequestStateError
from services.privacy.models import (
    Erasure,
    RightsContact,
    RightsEvent,
    RightsMail,
    RightsRequest,
)
from services.privacy.models.rights import (
    CLOSED,
    CONTACT_KEPT,
    RIGHTS_PROOF,
    WAITING,
    ActorRole,
    MailTemplate,
    RightsState,
    RightsStep,
)
from services.privacy.queries.rights import today

PROOF_KEPT = timedelta(days=RIGHTS_PROOF.days or 0)


async def doubt(
    session: AsyncSession, *, request_id: UUID, dpo: UUID, reason: str, key: str
) -> RightsRequest:
    """Stop the clock while identity is reasonably doubted, and ask for what would prove it."""
    request = await _handled(session, request_id)
    request.doubt(today=today())
    await _tell(session, request, MailTemplate.IDENTITY_DOUBTED, words=reason, key=key)
    await _note(session, request, RightsStep.IDENTITY_DOUBTED, dpo)
    return request


async def check_identity(
    session: AsyncSession,
    *,
    request_id: UUID,
    dpo: UUID,
    how: str,
    account_id: UUID | None,
    key: str,
) -> RightsRequest:
    """Let the clock go on; a request that was never open opens. `account_id`: of its address."""
    request = await _handled(session, request_id)
    request.check_identity(today=today())
    contact = await session.get(RightsContact, request_id)
    if contact is not None:
        contact.sealed_identity = seal(how, key=key, context=request_id.bytes)
    await _note(session, request, RightsStep.IDENTITY_CHECKED, dpo)
    opened = await session.scalar(
        select(
            exists().where(
                col(RightsEvent.request_id) == request_id,
                col(RightsEvent.step) == RightsStep.CONFIRMED,
            )
        )
    )
    if not opened:
        await session.flush()
        await belongs_to(session, request, account_id)
        await set_off(session, request, by=ActorRole.DPO, actor_id=dpo)
    return request


async def extend(
    session: AsyncSession, *, request_id: UUID, dpo: UUID, reasons: str, key: str
) -> RightsRequest:
    """Take two months more, and tell the person why (GDPR art. 12(3))."""
    request = await _handled(session, request_id)
    request.extend(today=today())
    await _tell(session, request, MailTemplate.EXTENDED, words=reasons, key=key)
    await _note(session, request, RightsStep.EXTENDED, dpo)
    return request


async def answer(
    session: AsyncSession,
    *,
    request_id: UUID,
    dpo: UUID,
    template: MailTemplate,
    words: str | None,
    key: str,
) -> RightsRequest:
    """Answer, with one of the templates and the DPO's own words."""
    request = await _handled(session, request_id)
    _not_under_erasure(request)
    request.answer(now=clock.now())
    await _tell(session, request, template, words=words, key=key)
    await _note(session, request, RightsStep.ANSWERED, dpo)
    _tell_platform(session, request)
    return request


async def refuse(
    session: AsyncSession, *, request_id: UUID, dpo: UUID, reasons: str, key: str
) -> RightsRequest:
    """Refuse, with reasons and remedies (GDPR art. 12(4))."""
    request = await _handled(session, request_id)
    _not_under_erasure(request)
    request.refuse(now=clock.now())
    await _tell(session, request, MailTemplate.REFUSED, words=reasons, key=key)
    await _note(session, request, RightsStep.REFUSED, dpo)
    _tell_platform(session, request)
    return request


async def sweep(session: AsyncSession) -> None:
    """What time does: links and proofs end, erasures answer, addresses are forgotten."""
    now = clock.now()
    await _forget(session, col(RightsRequest.expires_at) <= now)
    erased = await session.scalars(
        select(RightsRequest)
        .join(Erasure, col(Erasure.subject_id) == col(RightsRequest.subject_id))
        .where(
            col(RightsRequest.state).in_(WAITING),
            col(RightsRequest.has_account),
            col(Erasure.completed_at).is_not(None),
        )
        .limit(500)
        .with_for_update(of=RightsRequest, skip_locked=True)
    )
    for request in erased.unique():
        request.close_erased(now=now)
        note(session, request, RightsStep.ERASED, ActorRole.PLATFORM)
        _tell_platform(session, request)
    answered = select(col(RightsRequest.request_id)).where(
        col(RightsRequest.state).in_(CLOSED), col(RightsRequest.closed_at) <= now - CONTACT_KEPT
    )
    for table in (RightsContact, RightsMail):
        await session.execute(delete(table).where(col(table.request_id).in_(answered)))
    await _forget(session, col(RightsRequest.closed_at) <= now - PROOF_KEPT)


async def _forget(session: AsyncSession, when: object) -> None:
    gone = await session.scalars(
        delete(RightsRequest)
        .where(when)  # type: ignore[arg-type]  # a condition on its columns
        .returning(col(RightsRequest.request_id))
        .execution_options(synchronize_session=False)
    )
    await forget_subjects(session, gone.all())


async def _handled(session: AsyncSession, request_id: UUID) -> RightsRequest:
    request = await session.get(RightsRequest, request_id, with_for_update=True)
    if request is None or request.state == RightsState.UNCONFIRMED:
        raise NotFoundError
    return request


def _not_under_erasure(request: RightsRequest) -> None:
    if request.erasure_id is not None:
        raise RequestStateError("L'effacement est en cours : son certificat sera la réponse.")


async def _tell(
    session: AsyncSession,
    request: RightsRequest,
    template: MailTemplate,
    *,
    words: str | None,
    key: str,
) -> None:
    """Write to the person; who gave a postal address only is told by letter, with the same words."""
    contact = await session.get(RightsContact, request.request_id)
    reachable = request.has_account or (contact is not None and contact.sealed_address is not None)
    write(
        session,
        request,
        template,
        sealed_words=seal(words, key=key, context=request.request_id.bytes) if words else None,
        silent=not reachable,
    )


async def _note(session: AsyncSession, request: RightsRequest, step: RightsStep, dpo: UUID) -> None:
    await subjects.ensure(session, dpo)
    note(session, request, step, ActorRole.DPO, dpo)


def _tell_platform(session: AsyncSession, request: RightsRequest) -> None:
    outbox.publish(
        session,
        RightsRequestClosed(
            request_id=request.request_id,
            person_id=request.subject_id,
            right=Right(request.kind),
            refused=request.state == RightsState.REFUSED,
        ),
    )
