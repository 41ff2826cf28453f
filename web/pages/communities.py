"""Communities: what they are, and joining one."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from web.declared import declared
from web.forms import Form, SentForm, blank
from web.gateway import ApiError, UnavailableError
from web.joining import Steps, steps
from web.rendering import page, to
from web.runtime import runtime_of
from web.sessions import AnyApi, CurrentPerson, OptionalPerson, Person

router = APIRouter()

Slug = Annotated[str, Path(pattern="^[a-z0-9-]{1,80}$")]
"""Public name of a community; anything else is no page."""

_READ = (("profile", "Votre profil"), ("photo", "Votre photo"), ("company", "La fiche de votre entreprise"), ("membership", "Votre adhésion"))  # fmt: skip


@router.get("/communautes")
async def communities(request: Request, api: AnyApi, after: str = "") -> Response:
    found = await api.get("directory/communities", after=after)
    return page(request, "communities/list.html", found=found, after=after)


@router.get("/communautes/{slug}")
async def community(request: Request, api: AnyApi, person: OptionalPerson, slug: Slug) -> Response:
    found = await api.get(f"directory/communities/{slug}")
    own = await person.api.get("directory/me/memberships") if person else []
    return page(
        request,
        "communities/page.html",
        community=found,
        own=[one for one in own if one["community"]["slug"] == found["slug"]],
        runs=person is not None and any(one["slug"] == found["slug"] for one in person.manages),
    )


@router.get("/inscription/communaute")
async def choose(request: Request, person: CurrentPerson) -> Response:
    """All communities; first those of the department that the person's company is in."""
    standing = await steps(person)
    near, found = await asyncio.gather(
        _department(person, standing),
        runtime_of(request).public("directory/communities?limit=100"),
    )
    mine = {one["community"]["slug"]: one["state"] for one in standing.memberships}
    close = [one for one in found["items"] if near and near in one["territory"]]
    return page(
        request,
        "joining/community.html",
        steps=standing,
        close=close,
        others=[one for one in found["items"] if one not in close],
        mine=mine,
    )


async def _department(person: Person, standing: Steps) -> str:
    if not standing.acting:
        return ""
    company = await person.api.get(f"directory/companies/{standing.acting[0]['id']}")
    return str(company["address"]["department"])


@router.get("/communautes/{slug}/rejoindre")
async def join(request: Request, person: CurrentPerson, slug: Slug) -> Response:
    return await _join_page(request, person, blank(), slug)


@router.post("/communautes/{slug}/rejoindre")
async def send_request(
    request: Request, person: CurrentPerson, form: SentForm, slug: Slug
) -> Response:
    """Join, then refuse the newsletter: sent again, both are done once."""
    if form.require(company_id="Choisissez l'entreprise pour laquelle vous adhérez."):
        try:
            await person.api.post(
                f"directory/communities/{slug}/memberships",
                {"company_id": form.value("company_id")},
                key=form.key,
            )
            if form.checked("no_newsletter"):
                community = await person.api.get(f"directory/communities/{slug}")
                choice = [{"community_id": community["id"], "subscribed": False}]
                await person.api.put("notifications/me/subscriptions", choice)
        except UnavailableError:
            form.title = (
                "Un service ne répond pas. Envoyez à nouveau dans quelques instants : "
                "rien ne sera fait deux fois."
            )
        except ApiError as refused:
            form.refuse(refused)
        else:
            return to("/inscription/termine")
    return await _join_page(request, person, form, slug)


async def _join_page(request: Request, person: Person, form: Form, slug: str) -> Response:
    community, standing, *about = await asyncio.gather(
        person.api.get(f"directory/communities/{slug}"),
        steps(person),
        *(declared(request, "directory", table) for table, _ in _READ),
    )
    members_for = {
        one["company"]["id"]
        for one in standing.memberships
        if one["community"]["slug"] == community["slug"]
    }
    companies = [one for one in standing.acting if one["id"] not in members_for]
    if len(companies) == 1 and not form.value("company_id"):
        form.values = {**form.values, "company_id": [companies[0]["id"]]}
    return page(
        request,
        "communities/join.html",
        form=form,
        community=community,
        steps=standing,
        companies=[(one["id"], one["name"]) for one in companies],
        reads=[(label, told) for (_, label), told in zip(_READ, about, strict=True) if told],
    )


@router.get("/inscription/termine")
async def joined(request: Request, person: CurrentPerson) -> Response:
    standing = await steps(person)
    if not standing.memberships:
        return to(standing.next)
    return page(request, "joining/done.html", steps=standing, newest=standing.memberships[0])


@router.get("/inscription/suite")
async def go_on(person: CurrentPerson) -> Response:
    """To the first step that is left."""
    return to((await steps(person)).next)
