"""Cursor pagination: `?after=…&limit=…`, an opaque cursor, `Link: rel="next"`."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Query, Request, Response

from chassis.errors import InvalidInputError

MAX_LIMIT = 100
DEFAULT_LIMIT = 20

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Éléments par page")]
After = Annotated[str | None, Query(max_length=500, description="Curseur de la page suivante")]

Item = TypeVar("Item")


def encode(*values: Any) -> str:
    """An opaque cursor for the sort values of the last item shown."""
    return urlsafe_b64encode(json.dumps(values, default=str).encode()).rstrip(b"=").decode()


def decode(cursor: str | None, *kinds: Callable[[Any], Any]) -> tuple[Any, ...] | None:
    """The sort values in a cursor; raises `InvalidInputError` for one that is not ours."""
    if cursor is None:
        return None
    try:
        values = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return tuple(kind(value) for kind, value in zip(kinds, values, strict=True))
    except (ValueError, TypeError, ArithmeticError, AttributeError):
        raise InvalidInputError("Le curseur « after » n'est pas valable.") from None


def cut(
    rows: Sequence[Item], limit: int, cursor: Callable[[Item], str]
) -> tuple[Sequence[Item], str | None]:
    """Split rows fetched with `limit + 1` into a page and the cursor of the next one."""
    if len(rows) <= limit:
        return rows, None
    page = rows[:limit]
    return page, cursor(page[-1])


def link(request: Request, response: Response, following: str | None) -> None:
    """Set `Link: rel="next"` when another page follows; the address is relative to the origin."""
    if following is not None:
        target = request.url.include_query_params(after=following)
        response.headers["Link"] = f'<{target.path}?{target.query}>; rel="next"'
