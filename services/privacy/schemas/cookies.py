"""Cookie choices over HTTP."""

from uuid import UUID

from pydantic import AwareDatetime, StrictBool

from chassis.http import Input, Output


class NewCookieChoice(Input):
    """Whether visits may be measured. Strictly necessary cookies are not asked for."""

    audience: StrictBool


class CookieChoiceView(Output):
    """A choice: whether visits may be measured now, and when to ask again at the latest."""

    id: UUID
    audience: bool
    notice_version: str
    chosen_at: AwareDatetime
    ask_again_at: AwareDatetime
    ask_again: bool
    expires_at: AwareDatetime
    withdrawn_at: AwareDatetime | None


class CookieProof(CookieChoiceView):
    """The choice, with the signed proof of it (JWS, RFC 7515)."""

    jws: str
