"""Following something without an account: its reference and its key, in a cookie of its own."""

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

_KEPT = timedelta(days=62)
"""Two months: the longest that the law leaves without a word, and time to come back afterwards."""
_KEY_AT_MOST = 2000


class Followed(NamedTuple):
    """What was given to whoever asked, and the key that shows it to them alone."""

    reference: str
    key: str

    @classmethod
    def typed(cls, reference: str, key: str) -> "Followed":
        """From another device, or later: as it was noted, with the spaces and lines of who copied it."""
        return cls(reference, "".join(key.split()))

    @property
    def plausible(self) -> bool:
        """Fit for an address and a header: it comes from a browser."""
        try:
            UUID(self.reference)
        except ValueError:
            return False
        letters = self.key.translate(str.maketrans("", "", ".-_"))
        return letters.isascii() and letters.isalnum() and len(self.key) <= _KEY_AT_MOST


class Memory(NamedTuple):
    """The cookie by which this browser finds it again."""

    cookie: str

    def of(self, request: Request) -> Followed | None:
        reference, _, key = request.cookies.get(self.cookie, "").partition(".")
        found = Followed(reference, key)
        return found if found.plausible else None

    def keep(self, answer: Response, followed: Followed) -> None:
        answer.set_cookie(
            self.cookie,
            f"{followed.reference}.{followed.key}",
            max_age=int(_KEPT.total_seconds()),
            path="/",
            secure=True,
            httponly=True,
            samesite="lax",
        )

    def forget(self, answer: Response) -> None:
        answer.delete_cookie(self.cookie, path="/", secure=True, httponly=True, samesite="lax")
