"""The notice, the register and consents."""

from typing import Any

from pydantic import AwareDatetime

from chassis.http import Output


class ConsentView(Output):
    """What the caller agreed to, and when."""

    notice_version: str
    given_at: AwareDatetime


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


class RegisterView(Output):
    """The register of processing (GDPR art. 30)."""

    generated_at: AwareDatetime
    manifests: dict[str, str]
    processing: list[Processing]
