"""Names for what other services know by an opaque id."""

from collections.abc import Iterable
from typing import Any

from fastapi import Request

from web.gateway import Api, ApiError
from web.runtime import runtime_of

_PAGE = 100


async def communities(request: Request) -> dict[str, dict[str, Any]]:
    """Every community by its id, in the order of their names; they are public."""
    found: dict[str, dict[str, Any]] = {}
    after = ""
    while True:
        page = await runtime_of(request).public(
            f"directory/communities?limit={_PAGE}{f'&after={after}' if after else ''}"
        )
        found |= {one["id"]: one for one in page["items"]}
        if page["next"] is None:
            return found
        after = page["next"]


async def companies(api: Api, ids: Iterable[str | None]) -> dict[str, str]:
    """Names by id, of those that this person may know. None at all while the directory is away."""
    wanted = sorted({one for one in ids if one})
    if not wanted:
        return {}
    try:
        told = await api.get("directory/company-names", id=wanted)
    except ApiError as refused:
        if refused.status < 500:
            raise
        return {}
    return {one["id"]: one["name"] for one in told}
