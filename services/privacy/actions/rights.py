"""Rights requests on their way in: asked, confirmed, opened - and what opening one sets off.

The public form says nothing: whatever address is given, the same rows are written and the same mail
goes. Whether the address has an account is asked only once its owner has followed the link.
"""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chassis import clock, outbox, subjects
from chassis.db import wake
from chassis.errors import InvalidInputError
from chassis.ids import new_id
from chassis.tables import data_subject
from contracts.privacy import (
    ConsentPurpose,
    ProcessingObjected,
    Reason,
    Right,
    RightsRequestOpened,
)
from services.privacy.actions import consents
from services.privacy.actions.broadcasts import request_erasure
from services.privacy.actions.exports import Requested, request_export
from services.privacy.credentials import address_hmac, new_secret, seal, secret_hash
from services.privacy.errors import ExportRunningError, LinkExpiredError, RequestOpenError
from services.privacy.models import (
    Erasure,
    Means,
    RightsContact,
    RightsEvent,
    RightsMail,
    RightsRequest,
)
from services.privacy.models.deadlines import last_day
from services.privacy.models.rights import (
    LINK_LIFETIME,
    LINKS_PER_ADDRESS,
    WAITING,
    ActorRole,
    Channel,
    MailTemplate,
    RightsState,
    RightsStep,
)
from services.privacy.queries import rights as queries

RIGHTS_MAIL_BELL = "rights mail"
_OLDEST_LETTER_DAYS = 366


async def take_in(
    session: AsyncSession, *, kind: Right, email: str, message: str | None, key: str
) -> None:
    """Write down what the public form says, and send a link to the address, three a day at most."""
    pseudonym = address_hmac(key, email)
    await _one_at_a_time(session, pseudonym)
    earlier = await session.scalar(
        select(func.count())
        .select_from(RightsContact)
        .where(
            col(RightsContact.address_hmac) == pseudonym,
            col(RightsContact.asked_at) > clock.now() - LINK_LIFETIME,
        )
    )
    request = await _written(
        session,
        request_id=new_id(),
        subject_id=None,
        kind=kind,
        channel=Channel.FORM,
        state=RightsState.UNCONFIRMED,
        by=ActorRole.PERSON,
        contact={"email": email, "message": message},
        key=key,
    )
    write(session, request, MailTemplate.LINK, silent=(earlier or 0) >= LINKS_PER_ADDRESS)


async def take_in_own(
    session: AsyncSession,
    *,
    request_id: UUID,
    person_id: UUID,
    kind: Right,
    message: str | None,
    key: str,
) -> tuple[RightsRequest, Requested | None]:
    """Open the request of a signed-in person. An erasure waits for a link all the same: it cannot be
    undone, and a session alone is not proof enough (as N3.2 asks for the password).

    Raises `RequestOpenError` when the person waits for the answer to such a request already.
    """
    await _one_at_a_time(session, f"{person_id}{kind}")
    earlier = await session.scalar(
        select(RightsRequest).where(
            col(RightsRequest.subject_id) == person_id,
            col(RightsRequest.kind) == kind,
            col(RightsRequest.state).in_([*WAITING, RightsState.UNCONFIRMED]),
        )
    )
    if earlier is not None:
        if earlier.state != RightsState.UNCONFIRMED:
            raise RequestOpenError(
                "Suivez-la dans « Mon compte ».", request_id=str(earlier.request_id)
            )
        sent = await session.scalar(
            select(func.count())
            .select_from(RightsMail)
            .where(col(RightsMail.request_id) == earlier.request_id)
        )
        write(session, earlier, MailTemplate.LINK, silent=(sent or 0) >= LINKS_PER_ADDRESS)
        return earlier, None
    erasure = kind is Right.ERASURE
    request = await _written(
        session,
        request_id=request_id,
        subject_id=person_id,
        kind=kind,
        channel=Channel.ACCOUNT,
        state=RightsState.UNCONFIRMED if erasure else RightsState.OPEN,
        by=ActorRole.PERSON,
        contact={"message": message},
        key=key,
    )
    if erasure:
        write(session, request, MailTemplate.LINK)
        return request, None
    return request, await set_off(session, request, by=ActorRole.PERSON)


async def take_in_letter(
    session: AsyncSession,
    *,
    request_id: UUID,
    account_id: UUID | None,
    kind: Right,
    received_on: date,
    contact: dict[str, str | None],
    by: tuple[ActorRole, UUID],
    key: str,
) -> RightsRequest:
    """Enter a request that came by letter. Its clock runs from the day it came, and stands still
    from now on while nobody has shown that its author is who it says.

    `contact`: email, postal, message, and identity when the DPO says how it was checked. Raises
    `InvalidInputError` for a day of receipt that cannot be.
    """
    age = (queries.today() - received_on).days
    if not 0 <= age <= _OLDEST_LETTER_DAYS:
        raise InvalidInputError("La date de réception est dans le futur, ou a plus d'un an.")
    checked = contact.get("identity") is not None
    request = await _written(
        session,
        request_id=request_id,
        subject_id=account_id if checked else None,
        kind=kind,
        channel=Channel.LETTER,
        state=RightsState.OPEN if checked else RightsState.IDENTITY_CHECK,
        by=by[0],
        actor_id=by[1],
        received_on=received_on,
        contact=contact,
        key=key,
    )
    if checked:
        note(session, request, RightsStep.IDENTITY_CHECKED, *by)
        await set_off(session, request, by=by[0], actor_id=by[1])
    elif contact.get("email"):
        write(session, request, MailTemplate.LETTER_LINK)
    return request


async def confirm(
    session: AsyncSession, *, token: str, account_id: UUID | None
) -> tuple[RightsRequest, str, Requested | None]:
    """Open the request of a mailed link; returns it with the key that follows it, shown once, and
    the copy of the data that is being made, if it is for one.

    `account_id`: the account of the address, as identity told. Raises `LinkExpiredError`.
    """
    link = await session.scalar(
        select(RightsMail).where(col(RightsMail.token_hash) == secret_hash(token)).with_for_update()
    )
    if link is None:
        raise LinkExpiredError("Faites une nouvelle demande.")
    link.check_link(now=clock.now())
    request = await session.get_one(RightsRequest, link.request_id, with_for_update=True)
    if request.state == RightsState.UNCONFIRMED:
        request.confirm(now=clock.now())
    else:
        request.check_identity(today=queries.today())
    await session.execute(
        update(RightsMail)
        .where(col(RightsMail.request_id) == request.request_id)
        .values(token_hash=None)
    )
    await belongs_to(session, request, account_id)
    secret = new_secret()
    request.key_hash = secret_hash(secret)
    copy = await set_off(session, request, by=ActorRole.PERSON)
    return request, secret, copy


async def belongs_to(
    session: AsyncSession, request: RightsRequest, account_id: UUID | None
) -> None:
    """From here on the request is its author's, whose account was found."""
    if account_id is None or request.has_account:
        return
    await subjects.ensure(session, account_id)
    request.subject_id, request.has_account = account_id, True
    await session.flush()
    for table in (RightsContact, RightsMail, RightsEvent):
        await session.execute(
            update(table)
            .where(col(table.request_id) == request.request_id)
            .values(subject_id=account_id)
        )
    await forget_subjects(session, [request.request_id])


async def set_off(
    session: AsyncSession,
    request: RightsRequest,
    *,
    by: ActorRole,
    actor_id: UUID | None = None,
) -> Requested | None:
    """The request is open: start what needs nobody's judgement, and say that it came.

    Returns the copy that is being made for an access or portability request with its key, when its
    author is there to take it.
    """
    note(session, request, RightsStep.CONFIRMED, by, actor_id)
    right, person_id = Right(request.kind), request.subject_id
    outbox.publish(
        session,
        RightsRequestOpened(
            request_id=request.request_id, person_id=person_id, right=right, due_on=request.due_on
        ),
    )
    if request.has_account and right is Right.ERASURE:
        await _start_erasure(session, request)
        return None  # the last message is the answer
    if request.has_account and right is Right.OBJECTION:
        await consents.withdraw(
            session, person_id=person_id, purpose=ConsentPurpose.AUDIENCE, by=Means.OBJECTION
        )
        outbox.publish(session, ProcessingObjected(person_id=person_id, objected_at=clock.now()))
        note(session, request, RightsStep.PROCESSING_STOPPED, ActorRole.PLATFORM)
    write(session, request, MailTemplate.RECEIVED)
    wants_copy = request.has_account and right in {Right.ACCESS, Right.PORTABILITY}
    if not wants_copy or by is not ActorRole.PERSON:
        return None
    try:
        async with outbox.savepoint(session):
            copy = await request_export(session, person_id=person_id, limited=False)
    except ExportRunningError:  # the one that is being made serves
        return None
    note(session, request, RightsStep.EXPORT_STARTED, ActorRole.PLATFORM)
    return copy


async def _start_erasure(session: AsyncSession, request: RightsRequest) -> None:
    """Hand the person over to the one protocol; an erasure that is under way serves."""
    await request_erasure(
        session,
        erasure_id=new_id(),
        subject_id=request.subject_id,
        reason=Reason.RIGHTS_REQUEST,
        requested_at=clock.now(),
    )
    request.erasure_id = await session.scalar(
        select(col(Erasure.erasure_id))
        .where(col(Erasure.subject_id) == request.subject_id)
        .order_by(col(Erasure.requested_at).desc())
        .limit(1)
    )
    note(session, request, RightsStep.ERASURE_STARTED, ActorRole.PLATFORM)


def write(
    session: AsyncSession,
    request: RightsRequest,
    template: MailTemplate,
    *,
    sealed_words: bytes | None = None,
    silent: bool = False,
) -> None:
    """Have a mail about the request sent by the job; `silent` ones are only kept."""
    now = clock.now()
    session.add(
        RightsMail(
            request_id=request.request_id,
            subject_id=request.subject_id,
            template=template,
            sealed_words=sealed_words,
            created_at=now,
            due_at=None if silent else now,
        )
    )
    wake(session, RIGHTS_MAIL_BELL)


def note(
    session: AsyncSession,
    request: RightsRequest,
    step: RightsStep,
    by: ActorRole,
    actor_id: UUID | None = None,
) -> None:
    """Add a line to the timeline. The author of the request is its subject, and not named again."""
    session.add(
        RightsEvent(
            request_id=request.request_id,
            subject_id=request.subject_id,
            step=step,
            at=clock.now(),
            actor_role=by,
            actor_id=actor_id,
        )
    )


async def _written(
    session: AsyncSession,
    *,
    request_id: UUID,
    subject_id: UUID | None,
    kind: Right,
    channel: Channel,
    state: RightsState,
    by: ActorRole,
    contact: dict[str, str | None],
    key: str,
    actor_id: UUID | None = None,
    received_on: date | None = None,
) -> RightsRequest:
    """The rows of a new request; without an account it is its own data subject."""
    now, today = clock.now(), queries.today()
    received_on = received_on or today
    await subjects.ensure(session, *(one for one in (subject_id or request_id, actor_id) if one))
    request = RightsRequest(
        request_id=request_id,
        subject_id=subject_id or request_id,
        has_account=subject_id is not None,
        kind=kind,
        channel=channel,
        state=state,
        received_on=received_on,
        due_on=last_day(received_on),
        paused_on=today if state is RightsState.IDENTITY_CHECK else None,
        expires_at=now + LINK_LIFETIME if state is RightsState.UNCONFIRMED else None,
    )
    session.add(request)
    await session.flush()
    sealed = {
        name: seal(text, key=key, context=request_id.bytes)
        for name, text in contact.items()
        if text
    }
    session.add(
        RightsContact(
            request_id=request_id,
            subject_id=request.subject_id,
            address_hmac=address_hmac(key, email) if (email := contact.get("email")) else None,
            sealed_address=sealed.get("email"),
            sealed_postal_address=sealed.get("postal"),
            sealed_message=sealed.get("message"),
            sealed_identity=sealed.get("identity"),
            asked_at=now,
        )
    )
    note(session, request, RightsStep.RECEIVED, by, actor_id)
    return request


async def _one_at_a_time(session: AsyncSession, what: str) -> None:
    """Let two requests about the same not overlook each other."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(what, 0))))


async def forget_subjects(session: AsyncSession, request_ids: Sequence[UUID]) -> None:
    """Requests without an account were their own data subjects, under ids that nobody else knows."""
    await session.execute(
        delete(data_subject).where(
            data_subject.c.id.in_(request_ids), data_subject.c.erased_at.is_(None)
        )
    )
