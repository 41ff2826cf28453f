"""What notifications reads and answers over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Body
from pydantic import AwareDatetime

from chassis.http import Input, Output


class SubscriptionView(Output):
    """The newsletter of one community of the caller; `slug` is null for a moment at most."""

    community_id: UUID
    slug: str | None
    subscribed: bool


class SubscriptionChoice(Input):
    """Whether the caller wants the newsletter of a community."""

    community_id: UUID
    subscribed: bool


Choices = Annotated[list[SubscriptionChoice], Body(max_length=500)]


class NoticeView(Output):
    """A line of the inbox: what happened, in French, and the page that tells more."""

    id: UUID
    kind: str
    title: str
    path: str
    target_id: UUID
    created_at: AwareDatetime
    read_at: AwareDatetime | None


class InboxPage(Output):
    """Notices, newest first; `next` is the cursor of the following page."""

    items: list[NoticeView]
    next: str | None


class UnsubscribeView(Output):
    """What an unsubscribe link stands for. A link that leads nowhere any more looks unsubscribed."""

    slug: str | None = None
    subscribed: bool = False
    message: str
