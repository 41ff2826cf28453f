"""Rights requests over HTTP."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, AwareDatetime, StringConstraints, model_validator

from chassis.http import Input, Output
from contracts.privacy import Right


def _address(value: str) -> str:
    try:
        return validate_email(value, check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        raise ValueError("Ce n'est pas une adresse e-mail.") from None


Email = Annotated[str, StringConstraints(max_length=254), AfterValidator(_address)]
Words = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
Reason = Annotated[str, StringConstraints(min_length=10, max_length=4000)]
Token = Annotated[str, StringConstraints(min_length=10, max_length=500)]


class PublicRequest(Input):
    """The form that is open to anyone (N4.1): nothing more than what an answer needs (N2.1)."""

    kind: Right
    email: Email
    message: Words | None = None


class OwnRequest(Input):
    """A request from "Mon compte": who asks is known."""

    kind: Right
    message: Words | None = None


class LetterRequest(Input):
    """A request that came by letter, entered for its author by an agent or the DPO.

    `identity` says how it was checked (DPO only); without it a link goes to `email`, or the clock
    stands still until the DPO says so.
    """

    kind: Right
    received_on: date
    email: Email | None = None
    postal_address: Annotated[str, StringConstraints(min_length=5, max_length=500)] | None = None
    message: Words | None = None
    identity: Reason | None = None

    @model_validator(mode="after")
    def _can_be_answered(self) -> "LetterRequest":
        if self.email is None and self.postal_address is None:
            raise ValueError("Une adresse, e-mail ou postale, est nécessaire pour répondre.")
        return self


class LinkToken(Input):
    """The token of a mailed link."""

    token: Token


class LinkView(Output):
    """What a mailed link stands for; looking changes nothing."""

    kind: Right
    received_on: date


class CopyView(Output):
    """The copy of the data that is being made, and the key that opens it; it is shown this once."""

    export_id: UUID
    key: str


class Confirmed(Output):
    """The request is open. `key` follows it without an account; it is shown this once."""

    request_id: UUID
    kind: Right
    due_on: date
    erasure_id: UUID | None
    key: str
    export: CopyView | None


class Accepted(Output):
    """Taken in; what follows is in the mail."""

    message: str = (
        "Un courriel part à cette adresse : ouvrez le lien qu'il contient dans les 24 heures."
    )


class Opened(Output):
    """A request from "Mon compte". Unconfirmed, it waits for the link in the mail."""

    request_id: UUID
    state: str
    due_on: date
    export: CopyView | None = None


class Doubt(Input):
    """Why identity is doubted, and what would prove it; the person reads this."""

    reason: Reason


class IdentityChecked(Input):
    """How identity was established, for the file."""

    how: Reason


class Extension(Input):
    """Why two months more are needed (GDPR art. 12(3)); the person reads this."""

    reasons: Reason


class Answer(Input):
    """The answer: a template, and the DPO's own words in it. `done` is nothing without words."""

    template: Literal["nothing_held", "done", "objection", "restriction"]
    words: Words | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Answer":
        if self.template == "done" and self.words is None:
            raise ValueError("Dites à la personne ce qui a été fait.")
        return self


class Refusal(Input):
    """Why the request is refused (GDPR art. 12(4)); remedies are added to the mail."""

    reasons: Reason


class TimelineEntry(Output):
    """Who did what when; `actor_id` is for the DPO only."""

    step: str
    at: AwareDatetime
    actor_role: str
    actor_id: UUID | None = None


class LetterView(Output):
    """A mail about the request: when it went, and what was written in it for this person."""

    template: str
    created_at: AwareDatetime
    sent_at: AwareDatetime | None
    words: str | None = None


class RightsSummary(Output):
    """A line of a list of requests."""

    request_id: UUID
    kind: Right
    channel: str
    state: str
    has_account: bool
    received_on: date
    due_on: date
    days_left: int
    extended: bool
    paused_on: date | None
    closed_at: AwareDatetime | None
    erasure_id: UUID | None


class RightsView(RightsSummary):
    """A request with its timeline. What identifies its author is gone some time after the answer."""

    message: str | None
    timeline: list[TimelineEntry]
    letters: list[LetterView]
    contact: "ContactView | None" = None


class ContactView(Output):
    """How to reach the author of a request (DPO only)."""

    email: str | None
    postal_address: str | None
    identity: str | None


class RightsPage(Output):
    """A page of requests."""

    items: list[RightsSummary]
    next: str | None = None
