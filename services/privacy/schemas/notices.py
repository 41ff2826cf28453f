"""The notice and the register."""

from typing import Any

from pydantic import AwareDatetime

from chassis.http import Output


class HeldData(Output):
    """One thing the platform may hold about a person."""

    label: str
    category: str
    mandatory: bool


class Processing(Output):
    """One table of one service, as the notice and the register tell it (GDPR art. 13 and 30)."""

    service: str
    table: str
    purpose: str
    basis: str
    recipients: list[str]
    retention: str
    fate: str
    kept_under: str | None = None
    data: list[HeldData]


class NoticeView(Output):
    """The notice in force, with the tables generated from what the services declare."""

    version: str
    in_force_from: AwareDatetime
    content: dict[str, Any]
    processing: list[Processing]
    partners: list[str]
    """Systems of other organisations that hear of people, and forget them when told to."""


class RegisterView(Output):
    """The register of processing (GDPR art. 30)."""

    generated_at: AwareDatetime
    manifests: dict[str, str]
    processing: list[Processing]


class NoticeVersionView(Output):
    """A version of the notice; `text_hash` is what proofs of consent refer to."""

    version: str
    in_force_from: AwareDatetime
    text_hash: str


class NoticeChange(Output):
    """A section that changed; null where it did not exist."""

    section: str
    before: Any
    after: Any


class NoticeDetail(NoticeVersionView):
    """A version with its text, and what changed since another one (by default the one before)."""

    content: dict[str, Any]
    compared_with: str | None
    changes: list[NoticeChange]
