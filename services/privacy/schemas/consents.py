"""Consents over HTTP."""

from typing import Any
from uuid import UUID

from pydantic import AwareDatetime

from chassis.http import Input, Output
from contracts.base import Slug
from contracts.privacy import ConsentPurpose


class NewConsent(Input):
    """What the caller agrees to, and the version of the notice that was shown."""

    purpose: ConsentPurpose
    notice_version: Slug


class ConsentView(Output):
    """What the caller agreed to, when and how, and when they stopped."""

    consent_id: UUID
    purpose: ConsentPurpose
    notice_version: str
    text_hash: str | None
    given_at: AwareDatetime
    given_by: str
    withdrawn_at: AwareDatetime | None
    withdrawn_by: str | None


class SignedConsent(Output):
    """The proof to read, and the JWS (RFC 7515) whose payload it is."""

    proof: dict[str, Any]
    jws: str


class NoticeToAccept(Output):
    """Whether the caller must be asked about the notice in force, and what they agreed to last."""

    to_accept: bool
    version: str | None
    in_force_from: AwareDatetime | None
    agreed_version: str | None


class ToAsk(Output):
    """Somebody who has not agreed to a version yet, and what they agreed to last."""

    person_id: UUID
    agreed_version: str


class ToAskPage(Output):
    """A page of people to ask."""

    items: list[ToAsk]
    next: str | None = None
