"""The HTTP door of notifications."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from sqlmodel import col

from chassis import pagination
from chassis.auth import CurrentUser
from chassis.session import SessionDep, runtime_of
from services.notifications import queries
from services.notifications.actions import notices, preferences, subscriptions
from services.notifications.credentials import subscription_of
from services.notifications.messages import NECESSARY, line_of
from services.notifications.models import OFFERS, Kind, Offer, Preference, Subscription
from services.notifications.schemas import (
    AlwaysView,
    Choices,
    Frequency,
    InboxPage,
    MessageView,
    NoticeView,
    PreferenceChoices,
    PreferencesView,
    SubscriptionView,
    UnsubscribeView,
    WayView,
)

router = APIRouter(prefix="/api/notifications", tags=["notifications"])

Token = Annotated[str, Path(max_length=100)]


@router.get("/me/subscriptions")
async def own_subscriptions(session: SessionDep, user: CurrentUser) -> list[SubscriptionView]:
    """The newsletters of the caller's communities, and which of them the caller receives."""
    return await queries.own_subscriptions(session, viewer=user)


@router.put("/me/subscriptions")
async def choose_newsletters(
    body: Choices, session: SessionDep, user: CurrentUser
) -> list[SubscriptionView]:
    """Choose newsletters. A community that is not named stays as it is."""
    await subscriptions.choose_newsletters(
        session,
        person=user,
        choices={choice.community_id: choice.subscribed for choice in body},
    )
    return await queries.own_subscriptions(session, viewer=user)


@router.get("/me/preferences")
async def own_preferences(session: SessionDep, user: CurrentUser) -> PreferencesView:
    """Every kind of message, by which way it comes, how often, and what can be refused (N4.2)."""
    chosen = await queries.own_preferences(session, viewer=user)
    return PreferencesView(
        messages=[_message(kind, offer, chosen.get(kind)) for kind, offer in OFFERS.items()],
        always=[AlwaysView(label=label, why=why) for label, why in NECESSARY.items()],
    )


@router.put("/me/preferences")
async def choose_messages(
    body: PreferenceChoices, session: SessionDep, user: CurrentUser
) -> PreferencesView:
    """Choose ways and rhythm by kind of message. What is not named stays as it is."""
    await preferences.choose(session, person_id=user.account_id, choices=body)
    return await own_preferences(session, user)


@router.post("/me/preferences/refuse-all")
async def refuse_all(session: SessionDep, user: CurrentUser) -> PreferencesView:
    """Refuse all that is not necessary, newsletters included, in one go."""
    await preferences.refuse_all(session, person_id=user.account_id)
    return await own_preferences(session, user)


def _message(kind: Kind, offer: Offer, chosen: Preference | None) -> MessageView:
    rhythm = Frequency(chosen.frequency) if chosen else Frequency.AT_ONCE
    return MessageView(
        kind=kind,
        label=offer.label,
        mail=WayView(on=chosen is None or chosen.mail, can_refuse=offer.mail),
        site=WayView(on=chosen is None or chosen.site, can_refuse=offer.site),
        frequency=rhythm if offer.rhythm else None,
    )


@router.get("/me/inbox")
async def inbox(
    *,
    request: Request,
    response: Response,
    session: SessionDep,
    user: CurrentUser,
    after: pagination.After = None,
    limit: pagination.Limit = pagination.DEFAULT_LIMIT,
) -> InboxPage:
    """What the caller was told, newest first."""
    cursor = pagination.decode(after, datetime.fromisoformat, UUID)
    found = await queries.own_notices(session, viewer=user, after=cursor, limit=limit)
    page, following = pagination.cut(
        found, limit, lambda row: pagination.encode(row[0].created_at, row[0].id)
    )
    pagination.link(request, response, following)
    items = []
    for notice, slug in page:
        line = line_of(Kind(notice.kind), slug=slug, target_id=notice.target_id)
        items.append(NoticeView.model_validate({**notice.model_dump(), **line._asdict()}))
    return InboxPage(items=items, next=following)


@router.post("/me/inbox/{notice_id}/read", status_code=HTTPStatus.NO_CONTENT)
async def mark_read(notice_id: UUID, session: SessionDep, user: CurrentUser) -> None:
    """Mark a notice as read."""
    await notices.mark_read(session, reader=user, notice_id=notice_id)


@router.get("/unsubscribe/{token}")
async def look_at_unsubscribe_link(
    token: Token, request: Request, session: SessionDep
) -> UnsubscribeView:
    """What the link of a mail stands for. Looking changes nothing: mail filters open links, too."""
    subscription_id = _behind(token, request)
    found = subscription_id and await queries.subscription_behind(
        session, subscription_id=subscription_id
    )
    if not found or not found[1]:
        return UnsubscribeView(
            slug=found[0] if found else None,
            message="Vous ne recevez pas cette lettre : il n'y a rien à faire.",
        )
    return UnsubscribeView(
        slug=found[0], subscribed=True, message="Confirmez pour ne plus recevoir cette lettre."
    )


@router.post("/unsubscribe/{token}")
async def unsubscribe(token: Token, request: Request, session: SessionDep) -> UnsubscribeView:
    """End a newsletter in one click, without signing in (RFC 8058); whatever the body, even none.

    The answer is the same for a link that was used before or leads nowhere any more.
    """
    subscription_id = _behind(token, request)
    if subscription_id is not None:
        await subscriptions.unsubscribe(session, col(Subscription.id) == subscription_id)
    return UnsubscribeView(message="C'est fait : vous ne recevrez plus cette lettre.")


def _behind(token: str, request: Request) -> UUID | None:
    return subscription_of(token, key=runtime_of(request).settings.secret("unsubscribe.key"))
