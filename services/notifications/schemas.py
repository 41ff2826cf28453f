"""What notifications reads and answers over HTTP."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import Body
from pydantic import AwareDatetime, StrictBool, StringConstraints

from chassis.http import Input, Output


class Frequency(StrEnum):
    """How often mails of a kind come; the gathered ones on Mondays, or every morning."""

    AT_ONCE = "at_once"
    DAILY = "daily"
    WEEKLY = "weekly"


class SubscriptionView(Output):
    """The newsletter of one community of the caller; `slug` is null for a moment at most."""

    community_id: UUID
    slug: str | None
    subscribed: bool


class SubscriptionChoice(Input):
    """Whether the caller wants the newsletter of a community."""

    community_id: UUID
    subscribed: StrictBool


Choices = Annotated[list[SubscriptionChoice], Body(max_length=500)]


class WayView(Output):
    """Whether a kind of message comes this way, and whether that can be refused."""

    on: bool
    can_refuse: bool


class MessageView(Output):
    """A kind of message and what the caller chose about it; no frequency: it comes at once."""

    kind: str
    label: str
    mail: WayView
    site: WayView
    frequency: Frequency | None


class AlwaysView(Output):
    """What comes in any case, and why."""

    label: str
    why: str


class PreferencesView(Output):
    """Everything that is sent: what can be chosen, and what cannot."""

    messages: list[MessageView]
    always: list[AlwaysView]


class PreferenceChoice(Input):
    """A choice about a kind of message; what is not named stays as it is."""

    kind: Annotated[str, StringConstraints(max_length=50)]
    mail: StrictBool | None = None
    site: StrictBool | None = None
    frequency: Frequency | None = None


PreferenceChoices = Annotated[list[PreferenceChoice], Body(max_length=50)]


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
