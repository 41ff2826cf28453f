"""What is written to people: newsletters, kinds of messages, and the way out of a mail."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from web.forms import SentForm, blank
from web.gateway import ApiError
from web.rendering import page, to
from web.runtime import runtime_of
from web.sessions import CurrentPerson, visitor

router = APIRouter()

PAGE = "/mon-compte/abonnements"
FREQUENCIES = (
    ("at_once", "Au fil de l'eau"),
    ("daily", "Un courriel par jour"),
    ("weekly", "Un courriel par semaine, le lundi"),
)


@router.get(PAGE)
async def subscriptions(request: Request, person: CurrentPerson) -> Response:
    letters = await person.api.get("notifications/me/subscriptions")
    preferences = await person.api.get("notifications/me/preferences")
    known = await person.api.get("directory/me/memberships")
    names = {one["community"]["id"]: one["community"]["name"] for one in known}
    return page(
        request,
        "account/subscriptions.html",
        letters=[
            {**one, "name": names.get(one["community_id"], one["slug"] or "Communauté")}
            for one in letters
        ],
        messages=preferences["messages"],
        always=preferences["always"],
        frequencies=FREQUENCIES,
        form=_as_it_is(letters, preferences["messages"]),
    )


def _as_it_is(letters: Sequence[Mapping[str, Any]], messages: Sequence[Mapping[str, Any]]) -> Any:
    chosen: dict[str, str | Sequence[str] | None] = {
        "letter": [one["community_id"] for one in letters if one["subscribed"]]
    }
    for one in messages:
        chosen[f"{one['kind']}.mail"] = "oui" if one["mail"]["on"] else None
        chosen[f"{one['kind']}.site"] = "oui" if one["site"]["on"] else None
        chosen[f"{one['kind']}.frequency"] = one["frequency"]
    return blank(**chosen)


@router.post(PAGE)
async def choose(person: CurrentPerson, form: SentForm) -> Response:
    """Only what stood on the page is changed: `shown` and `kind` say what did."""
    letters = [
        {"community_id": one, "subscribed": one in form.all("letter")} for one in form.all("shown")
    ]
    if letters:
        await person.api.put("notifications/me/subscriptions", letters)
    offered = (await person.api.get("notifications/me/preferences"))["messages"]
    choices = [_choice(one, form) for one in offered if one["kind"] in form.all("kind")]
    if choices:
        await person.api.put("notifications/me/preferences", choices)
    return to(PAGE, done="abonnements")


def _choice(offered: Mapping[str, Any], form: Any) -> dict[str, Any]:
    """What can be refused is on when it is ticked; a rhythm when one was offered and chosen."""
    kind = offered["kind"]
    choice: dict[str, Any] = {"kind": kind}
    for way in ("mail", "site"):
        if offered[way]["can_refuse"]:
            choice[way] = form.checked(f"{kind}.{way}")
    rhythm = form.value(f"{kind}.frequency")
    if offered["frequency"] and rhythm in dict(FREQUENCIES):
        choice["frequency"] = rhythm
    return choice


@router.post(f"{PAGE}/tout-refuser")
async def refuse_all(person: CurrentPerson) -> Response:
    await person.api.post("notifications/me/preferences/refuse-all")
    return to(PAGE, done="tout-refuse")


@router.get("/desabonnement")
async def look_at_link(request: Request, token: str = "") -> Response:
    """Nothing changes yet: programs that look for viruses follow links, too."""
    found = await visitor(request).get(f"notifications/unsubscribe/{_path(token)}")
    return page(
        request,
        "privacy/unsubscribe.html",
        form=blank(token=token),
        subscribed=found["subscribed"],
        community=await _community(request, found["slug"]),
    )


@router.post("/desabonnement")
async def unsubscribe(request: Request, form: SentForm) -> Response:
    await visitor(request).post(f"notifications/unsubscribe/{_path(form.value('token'))}")
    return to("/desabonnement/fait")


@router.get("/desabonnement/fait")
async def unsubscribed(request: Request) -> Response:
    return page(request, "privacy/unsubscribed.html")


def _path(token: str) -> str:
    """Part of an address; what cannot be a token stands for one that leads nowhere."""
    plain = token.replace("-", "").replace("_", "").replace(".", "")
    return token if plain.isascii() and plain.isalnum() and len(token) <= 100 else "-"


async def _community(request: Request, slug: str | None) -> str:
    if slug:
        try:
            found = await runtime_of(request).public(f"directory/communities/{slug}")
            return str(found["name"])
        except ApiError:
            return slug
    return ""
