"""What identity reads and answers over HTTP."""

from typing import Annotated, Literal
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, AwareDatetime, Field, SecretStr, StringConstraints

from chassis.auth import Role
from chassis.http import Input, Output
from contracts.base import Slug


def _address(value: str) -> str:
    try:
        return validate_email(value, check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        raise ValueError("Ce n'est pas une adresse e-mail.") from None


Email = Annotated[str, StringConstraints(max_length=254), AfterValidator(_address)]
Password = Annotated[SecretStr, Field(min_length=1, max_length=128)]
Token = Annotated[str, StringConstraints(min_length=10, max_length=500)]


class SignUp(Input):
    """Address and password only (N2.1), with the version of the notice that was shown (N2.4)."""

    email: Email
    password: Password
    notice_version: Slug


class LinkToken(Input):
    """The token in a mailed link."""

    token: Token


class SignIn(Input):
    """Address and password; `code` is the second factor, for accounts that have one."""

    email: Email
    password: Password
    code: Annotated[str, StringConstraints(max_length=20)] | None = None


class Refresh(Input):
    """The refresh token of the last answer; it serves once."""

    refresh_token: Token


class TokenPair(Output):
    """An access token for all services, and the refresh token that gets the next pair."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the name of a token type
    expires_in: int
    """Seconds."""
    refresh_token: str


class BrowserSession(Output):
    """A session of the site; `secret` is for its cookie and is shown this once."""

    secret: str
    account_id: UUID
    roles: list[Role]


class BrowserSecret(Input):
    """The secret of a browser's cookie."""

    secret: Token


class BrowserToken(Output):
    """An access token for all services, and whose it is."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the name of a token type
    expires_in: int
    """Seconds."""
    account_id: UUID
    roles: list[Role]


class ClientToken(Output):
    """An access token of a service client (RFC 6749, section 4.4)."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the name of a token type
    expires_in: int
    scope: str


class Me(Output):
    """The caller's account."""

    account_id: UUID
    email: str
    state: str
    notice_version: str
    opened_at: AwareDatetime
    verified_at: AwareDatetime | None
    roles: list[Role]


class SessionView(Output):
    """A signed-in device."""

    id: UUID
    opened_at: AwareDatetime
    last_used_at: AwareDatetime
    current: bool


class DeleteMe(Input):
    """Fresh authentication for a step that cannot be undone."""

    password: Password


class DeletionAccepted(Output):
    """The erasure can be followed with `key`, which is shown this once."""

    erasure_id: UUID
    key: str


class ResetRequest(Input):
    """The address to send a link to, if it has an account."""

    email: Email


class ResetConfirm(Input):
    """A new password with the token of the mailed link."""

    token: Token
    password: Password


class PasswordChange(Input):
    """The present password and the new one."""

    current: Password
    new: Password


class RoleAssignment(Input):
    """The complete set of platform roles of an account."""

    email: Email
    roles: Annotated[list[Role], Field(max_length=10)]


class AddressRequest(Input):
    """Accounts whose address is needed now."""

    account_ids: Annotated[list[UUID], Field(min_length=1, max_length=500)]


class AccountLookup(Input):
    """An address whose owner has just proven to control it."""

    email: Email


class AccountFound(Output):
    """The account of that address, if there is one."""

    account_id: UUID | None


class Address(Output):
    """The address of one account."""

    account_id: UUID
    email: str
