"""The page of who is signed in: what waits for them, in blocks that stand for themselves."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import Response

from web.gateway import ApiError
from web.joining import steps
from web.rendering import page
from web.sessions import CurrentPerson, Person

router = APIRouter()


class Block(NamedTuple):
    """`load` gives the values of `dashboard/<name>.html`, or None when there is nothing to show."""

    name: str
    title: str
    load: Callable[[Person], Awaitable[dict[str, Any] | None]]


async def _notice(person: Person) -> dict[str, Any] | None:
    """A notice that the person has not agreed to."""
    asked = await person.api.get("privacy/me/notice-to-accept")
    return asked if asked["to_accept"] else None


async def _steps(person: Person) -> dict[str, Any] | None:
    """What is left of joining: a profile, a company, a community."""
    if person.kinds - {"member"}:
        return None  # somebody who works here
    standing = await steps(person)
    _, profile, company, community = standing.done
    left = {"profile": profile, "company": company, "community": community}
    return None if all(left.values()) else {"steps": left}


async def _requests(person: Person) -> dict[str, Any] | None:
    if not person.manages:
        return None
    return {"communities": await person.api.get("directory/me/managed-communities")}


async def _calls(person: Person) -> dict[str, Any] | None:
    """A buyer's consultations, the latest first."""
    if "buyer" not in person.roles:
        return None
    found = await person.api.get("consultations/consultations", mine="true", limit=3)
    return {"items": found["items"]}


async def _open(person: Person) -> dict[str, Any] | None:
    """What members may read now, the latest first; the page says who may reply."""
    if person.kinds - {"member"}:
        return None  # somebody who works here
    found = await person.api.get("consultations/consultations", state="published", limit=3)
    return {"items": found["items"]} if found["items"] else None


async def _protection(person: Person) -> dict[str, Any] | None:
    """What the DPO has to look at first."""
    if "dpo" not in person.roles:
        return None
    late, rights = await asyncio.gather(
        person.api.get("privacy/escalations"), person.api.get("privacy/rights-requests")
    )
    return {"late": late, "rights": rights}


async def _operations(person: Person) -> dict[str, Any] | None:
    """Where an operator's things are: none of them is on this site."""
    return {} if "operator" in person.roles else None


async def _kept_until(person: Person) -> dict[str, Any] | None:
    kept = await person.api.get("privacy/me/retention")
    return kept if kept["kept_until"] else None


BLOCKS: tuple[Block, ...] = (
    Block("notice", "La notice a changé", _notice),
    Block("steps", "Pour commencer", _steps),
    Block("requests", "Demandes d'adhésion", _requests),
    Block("calls", "Vos consultations", _calls),
    Block("open", "Consultations ouvertes", _open),
    Block("protection", "Protection des données", _protection),
    Block("operations", "Exploitation", _operations),
    Block("retention", "Conservation de votre compte", _kept_until),
)
"""In the order of the page."""


@router.get("/tableau-de-bord")
async def dashboard(request: Request, person: CurrentPerson) -> Response:
    """A block whose service is away says so; the others are there."""
    loaded = await asyncio.gather(*(_loaded(block, person) for block in BLOCKS))
    blocks = [
        {"block": block, "values": values}
        for block, values in zip(BLOCKS, loaded, strict=True)
        if values is not None
    ]
    return page(request, "dashboard.html", blocks=blocks)


async def _loaded(block: Block, person: Person) -> dict[str, Any] | None:
    try:
        return await block.load(person)
    except ApiError as refused:
        if refused.status < 500:
            raise
        return {"away": True}
