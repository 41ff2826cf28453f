"""The operator's door, the same in every service: dead letters, parked events, rehearsals, who did what.

Each service keeps its own; `ccib` asks all of them. Everything that acts is written down in the same
transaction (`chassis.audit`), and a replayed letter passes the fence like any other event.
"""

import hashlib
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime, Field, ValidationError, model_validator

from chassis import audit, dead_letters, outbox, rehearsal
from chassis.auth import Principal, Role, require_role
from chassis.bus import BROKEN
from chassis.db import wake
from chassis.dead_letters import DeadLetter
from chassis.errors import ConflictError, NotFoundError, UnavailableError
from chassis.http import Input, Output
from chassis.pagination import DEFAULT_LIMIT, After, Limit, cut, decode, encode, link
from chassis.session import SessionDep, runtime_of
from contracts.base import Envelope

MOST = 10_000
"""Letters that one call may replay or drop; the answer says how many remain."""

router = APIRouter(tags=["operations"])

Operator = Annotated[Principal, Depends(require_role(Role.OPERATOR))]
_OPERATOR = Depends(require_role(Role.OPERATOR))
_OPERATOR_OR_DPO = Depends(require_role(Role.OPERATOR, Role.DPO))

Short = Annotated[str, Field(max_length=200)]


class CauseView(Output):
    """Dead letters of one story: state, event type and reason."""

    state: str
    type: str | None
    reason: str | None
    count: int
    oldest: AwareDatetime
    newest: AwareDatetime


class LetterView(Output):
    """An event that took no effect. `replayable` is false for what was refused: drop it."""

    event_id: UUID
    state: str
    type: str | None
    aggregate: str
    reason: str | None
    sender: str | None
    attempts: int
    received_at: AwareDatetime
    replayable: bool


class LetterDetail(LetterView):
    """Its envelope and, when it is what its schema says, its data: ids and closed words.

    Of anything else only size and hash are shown: a stranger may have written what they liked.
    """

    envelope: dict[str, Any] | None
    data: dict[str, Any] | None
    size: int
    sha256: str


class LetterPage(Output):
    """A page of dead letters, the oldest first."""

    items: list[LetterView]
    next: str | None = None


class Selection(Input):
    """Either `ids`, or all of one cause: `type` and `reason` as the list of causes gives them."""

    ids: Annotated[list[UUID], Field(min_length=1, max_length=1000)] | None = None
    type: Short | None = None
    reason: Short | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        by_cause = bool({"type", "reason"} & self.model_fields_set)
        if (self.ids is not None) == by_cause:
            raise ValueError("Donnez soit « ids », soit « type » et « reason ».")
        if by_cause and not {"type", "reason"} <= self.model_fields_set:
            raise ValueError("« type » et « reason » vont ensemble.")
        return self


class Done(Output):
    """How many it was, and how many of the selection are still there."""

    count: int
    remaining: int


class ParkedView(Output):
    """An event of this service that the broker cannot route."""

    event_id: UUID
    aggregate: str
    exchange: str
    routing_key: str
    created_at: AwareDatetime
    attempts: int
    last_error: str | None


class ParkedPage(Output):
    """A page of parked events, the oldest first."""

    items: list[ParkedView]
    next: str | None = None


class ActionView(Output):
    """What an operator, the DPO or the clock did; `person_id` is null once that person is erased, and
    when it was the clock.
    """

    id: UUID
    person_id: UUID | None
    action: str
    about: dict[str, Any]
    done_at: AwareDatetime


class ActionPage(Output):
    """A page of what was done, the newest first."""

    items: list[ActionView]
    next: str | None = None


class RehearsalView(Output):
    """What became of a person who never was (`chassis.rehearsal`). Names of tables and columns alone."""

    holds: bool
    rows: dict[str, int]
    columns: int
    left: list[str]
    unreadable: list[str]
    impossible: dict[str, str]
    trouble: str | None


@router.get("/dead-letters/causes", dependencies=[_OPERATOR])
async def causes(session: SessionDep) -> list[CauseView]:
    """Dead letters grouped by cause, the largest group first (operators)."""
    return [CauseView.model_validate(one) for one in await dead_letters.causes(session)]


@router.get("/dead-letters", dependencies=[_OPERATOR])
async def letters(
    request: Request,
    response: Response,
    session: SessionDep,
    *,
    type: Annotated[str | None, Query(max_length=200)] = None,
    reason: Annotated[str | None, Query(max_length=200)] = None,
    after: After = None,
    limit: Limit = DEFAULT_LIMIT,
) -> LetterPage:
    """Dead letters, the oldest first (operators)."""
    found = await dead_letters.letters(
        session, type=type, reason=reason, after=_place(after), limit=limit + 1
    )
    page, following = cut(found, limit, lambda one: encode(one.order))
    link(request, response, following)
    return LetterPage(items=[LetterView.model_validate(one) for one in page], next=following)


@router.get("/dead-letters/{event_id}", dependencies=[_OPERATOR])
async def letter(request: Request, session: SessionDep, event_id: UUID) -> LetterDetail:
    """One dead letter, with what may be shown of it (operators)."""
    found = await dead_letters.letter(session, event_id)
    if found is None:
        raise NotFoundError
    envelope, data = _readable(request, found)
    return LetterDetail(
        **LetterView.model_validate(found).model_dump(),
        envelope=envelope,
        data=data,
        size=len(found.body),
        sha256=hashlib.sha256(found.body).hexdigest(),
    )


@router.post("/dead-letters/replay")
async def replay(session: SessionDep, user: Operator, selection: Selection) -> Done:
    """Try these again, through the fence (operators)."""
    ids = await _selected(session, selection)
    count = await dead_letters.replay(session, ids)
    await _note(session, user, "dead-letters.replay", selection, count)
    return Done(count=count, remaining=await _left(session, selection, ids, count))


@router.post("/dead-letters/drop")
async def drop(session: SessionDep, user: Operator, selection: Selection) -> Done:
    """Let these go without effect; their ids stay remembered (operators)."""
    ids = await _selected(session, selection)
    count = await dead_letters.drop(session, ids)
    await _note(session, user, "dead-letters.drop", selection, count)
    return Done(count=count, remaining=await _left(session, selection, ids, count))


@router.post("/dead-letters/collect")
async def collect(request: Request, user: Operator) -> Done:
    """Take in what the broker gave up on, so that it can be seen and replayed (operators)."""
    runtime = runtime_of(request)
    queue = f"{runtime.service.name}.dead"

    async def note(session: SessionDep, count: int) -> None:
        await audit.note(
            session,
            person_id=user.account_id,
            action="dead-letters.collect",
            count=count,
            queue=queue,
        )

    try:
        count, remaining = await dead_letters.collect(
            runtime.db, amqp_url=runtime.settings.amqp_url, queue=queue, note=note, limit=MOST
        )
    except BROKEN as error:
        raise UnavailableError("Le bus de messages ne répond pas.") from error
    return Done(count=count, remaining=remaining)


@router.get("/parked-events", dependencies=[_OPERATOR])
async def parked(
    request: Request,
    response: Response,
    session: SessionDep,
    after: After = None,
    limit: Limit = DEFAULT_LIMIT,
) -> ParkedPage:
    """Events of this service that the broker could not route (operators)."""
    found = await outbox.parked(session, after=_place(after), limit=limit + 1)
    page, following = cut(found, limit, lambda one: encode(one.id))
    link(request, response, following)
    return ParkedPage(items=[ParkedView.model_validate(one) for one in page], next=following)


@router.post("/parked-events/release")
async def release(session: SessionDep, user: Operator) -> Done:
    """Send the parked events again, once the broker can route them (operators)."""
    count = await outbox.release(session)
    await audit.note(
        session, person_id=user.account_id, action="parked-events.release", count=count
    )
    wake(session, outbox.BELL)
    return Done(count=count, remaining=0)


@router.post("/rehearsals")
async def rehearse(request: Request, session: SessionDep, user: Operator) -> RehearsalView:
    """Write somebody who does not exist into every table, forget them, look everywhere, undo it (operators).

    Reads every table of the service twice.
    """
    try:
        told = await rehearsal.rehearse(session, runtime_of(request).eraser, by=user.account_id)
    except rehearsal.RehearsingError as error:
        raise ConflictError("Une répétition est déjà en cours.") from error
    return RehearsalView.model_validate(told)


@router.get("/operator-actions", dependencies=[_OPERATOR_OR_DPO])
async def actions(
    request: Request,
    response: Response,
    session: SessionDep,
    after: After = None,
    limit: Limit = DEFAULT_LIMIT,
) -> ActionPage:
    """Who did what to the running of this service, newest first (operators, DPO)."""
    cursor = decode(after, UUID)
    found = await audit.actions(session, after=cursor[0] if cursor else None, limit=limit + 1)
    page, following = cut(found, limit, lambda one: encode(one.id))
    link(request, response, following)
    return ActionPage(items=[ActionView.model_validate(one) for one in page], next=following)


def _place(after: str | None) -> int | None:
    """The place in a list that a cursor stands for; one out of range is no cursor of ours."""
    cursor = decode(after, _bigint)
    return cursor[0] if cursor else None


def _bigint(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError(value)
    return value


def _readable(
    request: Request, found: DeadLetter
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    service = runtime_of(request).service
    known = {event.event_type(): event for event in (*service.handlers, *service.answers)}
    if not found.replayable:
        return None, None
    try:
        envelope = Envelope.model_validate_json(found.body)
        shown = envelope.model_dump(mode="json", exclude={"data"}, exclude_none=True)
    except ValidationError:
        return None, None
    try:
        return shown, known[envelope.type].model_validate(envelope.data).model_dump(mode="json")
    except (KeyError, ValidationError):
        return shown, None


async def _selected(session: SessionDep, selection: Selection) -> list[UUID]:
    if selection.ids is not None:
        return sorted(set(selection.ids))
    return await dead_letters.of_cause(
        session, type=selection.type, reason=selection.reason, limit=MOST
    )


async def _left(session: SessionDep, selection: Selection, ids: list[UUID], count: int) -> int:
    if selection.ids is not None:
        return await dead_letters.still_there(session, ids) if count < len(ids) else 0
    return sum(
        cause.count
        for cause in await dead_letters.causes(session)
        if (cause.type, cause.reason) == (selection.type, selection.reason)
    )


async def _note(
    session: SessionDep, user: Principal, action: str, selection: Selection, count: int
) -> None:
    about = selection.model_dump(mode="json", exclude_unset=True)
    await audit.note(session, person_id=user.account_id, action=action, count=count, **about)
