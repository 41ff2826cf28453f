"""What a browser chose about audience measurement, in the one cookie that remembers it."""

from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from chassis import clock

COOKIE = "__Host-cookies"
PAGE = "/cookies"
_YEAR_S = 365 * 24 * 3600


class Choice(NamedTuple):
    """`choice_id` leads to the proof; it is empty for a refusal that could not be written down."""

    choice_id: str
    audience: bool
    ask_again_at: datetime


def choice_of(request: Request) -> Choice | None:
    """What was chosen here, if anything that can be read."""
    choice_id, _, rest = request.cookies.get(COOKIE, "").partition(".")
    audience, _, again = rest.partition(".")
    try:
        if choice_id:
            UUID(choice_id)
        return Choice(choice_id, audience == "oui", datetime.fromtimestamp(int(again), UTC))
    except (ValueError, OverflowError, OSError):
        return None


def to_ask(request: Request) -> bool:
    """On a first visit, and again six months after any answer; the page about cookies asks itself."""
    chosen = choice_of(request)
    over = chosen is None or clock.now() >= chosen.ask_again_at
    return over and request.url.path != PAGE


def keep(answer: Response, *, choice_id: str, audience: bool, ask_again_at: Any) -> None:
    """For twelve months, which no visit prolongs (N5.1)."""
    again = int(datetime.fromisoformat(str(ask_again_at)).timestamp())
    said = "oui" if audience else "non"
    answer.set_cookie(
        COOKIE,
        f"{choice_id}.{said}.{again}",
        max_age=_YEAR_S,
        path="/",
        secure=True,
        httponly=True,
        samesite="lax",
    )
