"""Forms: from whom they may come, what was typed, and what is wrong with it."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.datastructures import UploadFile
from starlette.responses import Response

from chassis.ids import new_id
from web.gateway import ApiError, UnavailableError
from web.runtime import runtime_of
from web.sessions import COOKIE

FORM_COOKIE = "__Host-form"
"""Binds the forms of visitors to their browser: a random value, until the browser closes."""
TOKEN_FIELD = "form_token"  # noqa: S105 - the name of a field
KEY_FIELD = "form_key"
SAFE = {"GET", "HEAD", "OPTIONS"}
SAID_BY_ORIGIN = {"/cookies"}
"""Forms without a token: the one on every first page, where a token would need a cookie for somebody
who has not answered about cookies yet. Where it was sent from is asked all the same."""
_NONCE = 22


class ForeignRequestError(Exception):
    """The form was sent by another site."""


class NoCookieError(Exception):
    """The browser keeps no cookie: nobody can be known again."""


class StaleFormError(Exception):
    """The page was made for another session; `values` can be offered again, unless there are none."""

    def __init__(self, values: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self.values = values


@dataclass(kw_only=True)
class Form:
    """What was typed and what is wrong, by the name of the field."""

    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    files: Mapping[str, UploadFile] = field(default_factory=dict)
    key: str = field(default_factory=lambda: str(new_id()))
    """Sent twice it does once; another one after an answer."""
    errors: dict[str, str] = field(default_factory=dict)
    title: str = ""
    """What is wrong as a whole, above the errors of the fields."""

    @property
    def failed(self) -> bool:
        return bool(self.errors or self.title)

    def value(self, name: str) -> str:
        """What was typed, without the white space around it; empty when nothing was."""
        return next(iter(self.values.get(name, ())), "").strip()

    def secret(self, name: str) -> str:
        """A password: white space is part of it."""
        return next(iter(self.values.get(name, ())), "")

    def all(self, name: str) -> Sequence[str]:
        """Every value of a field that has several."""
        return self.values.get(name, ())

    def lines(self, name: str) -> list[str]:
        """What was typed one a line, or between commas."""
        parts = self.value(name).replace(",", "\n").splitlines()
        return [part.strip() for part in parts if part.strip()]

    def checked(self, name: str, value: str = "oui") -> bool:
        return value in self.values.get(name, ())

    def fail(self, name: str, message: str) -> None:
        self.errors.setdefault(name, message)

    def gather(self, name: str) -> None:
        """What is wrong with one of several values is wrong with the field that holds them all."""
        for one in [key for key in self.errors if key.startswith(f"{name}.")]:
            self.fail(name, self.errors.pop(one))

    def require(self, **messages: str) -> bool:
        """Note an error for each field that is empty; returns whether nothing is wrong so far."""
        for name, message in messages.items():
            if not self.value(name):
                self.fail(name, message)
        return not self.failed

    def refuse(self, refused: ApiError, *, at: str = "") -> None:
        """Take over what the interface says is wrong; `at` names the field of a general refusal.

        Raises the refusal again when it is none that a person can correct.
        """
        if refused.status in {401, 403, 404} and not at:
            raise refused
        if at and not refused.errors:
            self.fail(at, _sentence(refused))
        else:
            self.title = self.title or _sentence(refused)
            for name, message in refused.errors.items():
                self.fail(name, message)
        if not isinstance(refused, UnavailableError):
            self.key = str(new_id())


def _sentence(refused: ApiError) -> str:
    """Title and detail as one text."""
    title = refused.title.rstrip(".")
    return f"{title}. {refused.detail}" if refused.detail else f"{title}."


def blank(**values: str | Sequence[str] | None) -> Form:
    """A form to fill in, with what is known already."""
    return Form(
        values={
            name: [value] if isinstance(value, str) else list(value)
            for name, value in values.items()
            if value is not None
        }
    )


async def protect(request: Request) -> None:
    """Let a form in that one of our own pages made for this very browser; every route asks this.

    Raises `ForeignRequestError`, `NoCookieError` or `StaleFormError`.
    """
    if request.method in SAFE:
        return
    if not _from_here(request):
        raise ForeignRequestError
    if request.url.path in SAID_BY_ORIGIN:
        return
    binding = _binding(request)
    if binding is None:
        raise NoCookieError
    sent = await request.form()
    token = sent.get(TOKEN_FIELD)
    if not isinstance(token, str) or not hmac.compare_digest(
        token.encode(), _token(request, token[:_NONCE], binding).encode()
    ):
        texts = [(name, value) for name, value in sent.multi_items() if isinstance(value, str)]
        lost = len(texts) < len(sent.multi_items()) or any(
            name.startswith("password") for name, _ in texts
        )
        raise StaleFormError([] if lost else [pair for pair in texts if pair[0] != TOKEN_FIELD])


def _from_here(request: Request) -> bool:
    """What the browser says of who sends; a browser that says nothing at all is not believed."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    ours = urlsplit(runtime_of(request).settings.public_url)
    said = request.headers.get("origin") or request.headers.get("referer") or ""
    theirs = urlsplit(said)
    return (theirs.scheme, theirs.netloc) == (ours.scheme, ours.netloc)


def _binding(request: Request) -> str | None:
    return request.cookies.get(COOKIE) or request.cookies.get(FORM_COOKIE)


class Tokens:
    """The tokens of one page's forms, and the cookie that a visitor's browser needs for them."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._binding = _binding(request)
        self._fresh = ""
        self.any = False

    def another(self) -> str:
        """Never the same twice: compressed with what others can choose, a constant could be guessed."""
        self.any = True
        if self._binding is None:
            self._binding = self._fresh = secrets.token_urlsafe(24)
        return _token(self._request, secrets.token_urlsafe(16), self._binding)

    def set_cookie(self, answer: Response) -> None:
        if self._fresh:
            answer.set_cookie(
                FORM_COOKIE, self._fresh, path="/", secure=True, httponly=True, samesite="lax"
            )


def _token(request: Request, nonce: str, binding: str) -> str:
    told = f"{nonce}.{binding}".encode()
    return nonce + hmac.new(runtime_of(request).forms_key, told, hashlib.sha256).hexdigest()


async def sent_form(request: Request) -> Form:
    """What was sent, once `protect` has let it in."""
    sent = await request.form()
    values: dict[str, list[str]] = {}
    files: dict[str, UploadFile] = {}
    for name, value in sent.multi_items():
        if isinstance(value, str):
            values.setdefault(name, []).append(value)
        elif value.filename:
            files[name] = value
    key = next(iter(values.pop(KEY_FIELD, [])), "")[:100]
    values.pop(TOKEN_FIELD, None)
    form = Form(values=values, files=files)
    form.key = key or form.key
    return form


SentForm = Annotated[Form, Depends(sent_form)]
"""The form that was sent."""
