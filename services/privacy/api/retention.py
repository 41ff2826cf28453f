"""Retention: the rules, their runs, what they would do; and until when one's own account is kept."""

from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import CurrentUser, Principal, Role, require_role
from chassis.errors import NotFoundError
from chassis.pagination import DEFAULT_LIMIT, After, Limit, cut, decode, encode, link
from chassis.session import SessionDep
from services.privacy.actions import retention_runs as actions
from services.privacy.models import Retention
from services.privacy.queries import retention as queries
from services.privacy.reference.retention import Rule, rules
from services.privacy.schemas.retention import (
    DueView,
    NewRun,
    OwnRetention,
    PlannedView,
    PlanPage,
    PlanQuery,
    RuleView,
    RunPage,
    RunView,
)

router = APIRouter(prefix="/api/privacy", tags=["retention"])

DPO = require_role(Role.DPO)


def _rule(name: str) -> Rule:
    found = rules().get(name)
    if found is None:
        raise NotFoundError("Aucune règle ne porte ce nom.")
    return found


@router.get("/retention/rules", dependencies=[Depends(DPO)])
async def retention_rules(session: SessionDep) -> list[RuleView]:
    """Each rule with what it does today and will have done in a week, and why (DPO)."""
    return [await _rule_view(session, rule) for rule in rules().values()]


async def _rule_view(session: AsyncSession, rule: Rule) -> RuleView:
    today = queries.today()
    now = await queries.due(session, rule=rule, as_of=today)
    soon = await queries.due(session, rule=rule, as_of=today + timedelta(days=7))
    return RuleView(
        **rule.model_dump(include=set(RuleView.model_fields)),
        due_today=DueView.model_validate(now),
        due_next_week=DueView.model_validate(soon),
        warnings_on_their_way=await queries.unsettled(session, rule=rule),
        heard_until=await queries.heard_until(session),
    )


@router.get("/retention/plan", dependencies=[Depends(DPO)])
async def plan(
    request: Request, response: Response, session: SessionDep, asked: Annotated[PlanQuery, Query()]
) -> PlanPage:
    """What a rule will have done by any day, if nobody joins meanwhile; nothing is done (DPO)."""
    wanted, day, limit = _rule(asked.rule), asked.as_of or queries.today(), asked.limit
    cursor = decode(asked.after, int, date.fromisoformat, UUID)
    found = await queries.planned(
        session,
        rule=wanted,
        as_of=day,
        after=(cursor[0], cursor[1], cursor[2]) if cursor else None,
        limit=limit + 1,
    )
    page, following = cut(found, limit, lambda one: encode(*one.place))
    link(request, response, following)
    return PlanPage(
        rule=wanted.id,
        as_of=day,
        due=DueView.model_validate(await queries.due(session, rule=wanted, as_of=day)),
        items=[_planned(one.account, wanted) for one in page],
        next=following,
    )


def _planned(account: Retention, rule: Rule) -> PlannedView:
    ends = account.ends(rule, warned_on=queries.today())
    if account.opened_on is None or ends is None:
        raise LookupError("planned without an opening day")
    return PlannedView(
        person_id=account.person_id,
        opened_on=account.opened_on,
        warnings=account.warnings,
        next="warning" if account.warnings < len(rule.notices_days) else "erasure",
        kept_until=ends,
        on_its_way=account.warning_id is not None,
    )


@router.get("/retention/runs", dependencies=[Depends(DPO)])
async def runs(
    request: Request,
    response: Response,
    session: SessionDep,
    after: After = None,
    limit: Limit = DEFAULT_LIMIT,
) -> RunPage:
    """What the rules did, and what the breaker holds, newest first (DPO)."""
    cursor = decode(after, datetime.fromisoformat, UUID)
    found = await queries.runs(
        session, after=(cursor[0], cursor[1]) if cursor else None, limit=limit + 1
    )
    page, following = cut(found, limit, lambda run: encode(run.started_at.isoformat(), run.id))
    link(request, response, following)
    return RunPage(items=[RunView.model_validate(run) for run in page], next=following)


@router.get("/retention/runs/{run_id}", dependencies=[Depends(DPO)])
async def run(session: SessionDep, run_id: UUID) -> RunView:
    """One run (DPO)."""
    found = await queries.run(session, run_id=run_id)
    if found is None:
        raise NotFoundError
    return RunView.model_validate(found)


@router.post("/retention/runs", status_code=HTTPStatus.ACCEPTED)
async def start_run(
    body: NewRun, session: SessionDep, user: Annotated[Principal, Depends(DPO)]
) -> RunView:
    """Run a rule now, by today or an earlier day; it goes on behind this answer (DPO)."""
    started = await actions.start_by_hand(
        session, rule=_rule(body.rule), as_of=body.as_of, viewer=user
    )
    return RunView.model_validate(started)


@router.post("/retention/runs/{run_id}/confirmation", status_code=HTTPStatus.ACCEPTED)
async def confirm_run(
    session: SessionDep, run_id: UUID, user: Annotated[Principal, Depends(DPO)]
) -> RunView:
    """Let a held run do what it says, and no more; it goes on behind this answer (DPO)."""
    return RunView.model_validate(await actions.confirm(session, run_id=run_id, viewer=user))


@router.get("/me/retention")
async def own_retention(session: SessionDep, user: CurrentUser) -> OwnRetention:
    """Until when the caller's account is kept, and why (N3.1, N3.2)."""
    account = await queries.own_retention(session, viewer=user)
    rule = next(
        (r for r in rules().values() if r.active and r.trigger == "opened-without-community"), None
    )
    ends = account.ends(rule, warned_on=queries.today()) if account and rule else None
    if account is None or rule is None or ends is None or account.excused or user.roles:
        return OwnRetention(
            kept_until=None,
            rule=None,
            warnings=0,
            why="Votre compte est conservé tant que vous l'utilisez ; vous pouvez le supprimer à "
            "tout moment.",
            how_to_keep=None,
            source=None,
        )
    return OwnRetention(
        kept_until=ends,
        rule=rule.id,
        warnings=account.warnings,
        why=rule.description,
        how_to_keep="Rejoignez une communauté : dès que votre adhésion est acceptée, votre compte "
        "est conservé.",
        source=rule.source,
    )
