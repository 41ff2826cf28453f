"""Who runs a community: requests to join, answers to them, members."""

import asyncio
from typing import Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from web import words
from web.forms import Form, SentForm, blank
from web.gateway import ApiError
from web.rendering import page, to
from web.sessions import CurrentPerson, Person

router = APIRouter()

_AT_ONCE = 50
"""Requests on the page of all communities; one community has pages."""


@router.get("/animation")
async def queue(
    request: Request, person: CurrentPerson, communaute: str = "", suite: str = ""
) -> Response:
    """The requests that wait, oldest first: of all communities, or of one (`communaute`)."""
    managed = await managed_communities(person)
    chosen = next((one for one in managed if one["slug"] == communaute), None)
    waiting = [one for one in managed if one["waiting"]]
    lists = await asyncio.gather(
        *(
            _requests(person, one, suite if chosen else "")
            for one in waiting
            if chosen in (None, one)
        )
    )
    items = sorted(
        (item for found in lists for item in found["items"]), key=lambda item: item["requested_at"]
    )
    here = f"/animation?communaute={chosen['slug']}" if chosen else ""
    more = next((found["next"] for found in lists if found["next"]), None) if chosen else None
    return page(
        request,
        "animating/queue.html",
        managed=managed,
        chosen=chosen,
        items=items if chosen else items[:_AT_ONCE],
        total=sum(one["waiting"] for one in (managed if chosen is None else [chosen])),
        tabs=[
            ("/animation", "Toutes"),
            *((f"/animation?communaute={one['slug']}", one["name"]) for one in managed),
        ],
        shown=here or "/animation",
        more=f"{here}&suite={more}" if more else "",
        first=here if suite and chosen else "",
    )


async def managed_communities(person: Person) -> list[dict[str, Any]]:
    """Those that the person answers for; raises `ApiError` 403 when there are none."""
    found: list[dict[str, Any]] = await person.api.get("directory/me/managed-communities")
    if not found:
        raise ApiError(
            status=403,
            slug="forbidden",
            title="Réservé aux personnes qui animent une communauté",
            detail="Cette page est celle des personnes qui animent une communauté.",
        )
    return found


async def _requests(person: Person, community: dict[str, Any], after: str) -> dict[str, Any]:
    found: dict[str, Any] = await person.api.get(
        f"directory/communities/{community['id']}/memberships", state="pending", after=after
    )
    return {**found, "items": [{**one, "community": community} for one in found["items"]]}


@router.post("/animation/demandes/{id}/accord")
async def accept(request: Request, person: CurrentPerson, id: UUID, form: SentForm) -> Response:
    return await _decide(request, person, id, form, grant=True)


@router.get("/animation/demandes/{id}/refus")
async def refusal(request: Request, person: CurrentPerson, id: UUID) -> Response:
    return await _refusal_page(request, person, id, blank())


@router.post("/animation/demandes/{id}/refus")
async def refuse(request: Request, person: CurrentPerson, id: UUID, form: SentForm) -> Response:
    if form.require(reason="Dites pourquoi : la personne lira ce motif."):
        return await _decide(request, person, id, form, grant=False)
    return await _refusal_page(request, person, id, form)


async def _decide(
    request: Request, person: Person, id: UUID, form: Form, *, grant: bool
) -> Response:
    """A double click is one answer; what somebody else answered meanwhile is shown."""
    body = {"grant": grant, "reason": None if grant else form.value("reason")}
    done = "adhesion-accordee" if grant else "adhesion-refusee"
    found = await person.api.get(f"directory/memberships/{id}")
    community = await _community(person, found)
    try:
        await person.api.post(f"directory/memberships/{id}/decision", body)
    except ApiError as refused:
        if refused.slug != "already-decided":
            form.refuse(refused, at="reason" if refused.slug == "reason-needed" else "")
            return await _refusal_page(request, person, id, form)
        found = await person.api.get(f"directory/memberships/{id}")
        same = found["state"] == ("active" if grant else "refused")
        if not (same and found["decided_by"] == person.account_id):
            return _decided_page(request, found, community)
    return to(f"/animation?communaute={community['slug']}", done=done)


async def _community(person: Person, membership: dict[str, Any]) -> dict[str, Any]:
    managed = await managed_communities(person)
    return next(one for one in managed if one["id"] == membership["community_id"])


async def _refusal_page(request: Request, person: Person, id: UUID, form: Form) -> Response:
    found = await person.api.get(f"directory/memberships/{id}")
    community = await _community(person, found)
    if found["state"] != "pending":
        return _decided_page(request, found, community)
    return page(request, "animating/refuse.html", form=form, one=found, community=community)


def _decided_page(request: Request, found: dict[str, Any], community: dict[str, Any]) -> Response:
    return page(
        request,
        "animating/decided.html",
        status=409,
        one=found,
        community=community,
        by=words.DECIDERS.get(found["decided_as"] or "", ""),
    )


@router.get("/animation/communautes/{slug}")
async def members(request: Request, person: CurrentPerson, slug: str, suite: str = "") -> Response:
    """Who belongs to a community, and who runs it."""
    at = f"directory/communities/{quote(slug, safe='')}"
    community, found, animators = await asyncio.gather(
        person.api.get(at),
        person.api.get(f"{at}/memberships", state="active", after=suite),
        person.api.get(f"{at}/animators"),
    )
    here = f"/animation/communautes/{community['slug']}"
    return page(
        request,
        "animating/members.html",
        community=community,
        items=found["items"],
        animators=animators,
        more=f"{here}?suite={found['next']}" if found["next"] else "",
        first=here if suite else "",
    )
