"""The first page: what this is, in ten seconds."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, PlainTextResponse

from web.gateway import ApiError
from web.rendering import page
from web.runtime import runtime_of

router = APIRouter()


@router.get("/")
async def home(request: Request) -> HTMLResponse:
    """Without the list of communities while the directory is away: the rest is as true as before."""
    try:
        communities = (await runtime_of(request).public("directory/communities?limit=6"))["items"]
    except ApiError:
        communities = None
    return page(request, "home.html", communities=communities)


@router.get("/robots.txt")
async def robots() -> PlainTextResponse:
    return PlainTextResponse("User-agent: *\nDisallow: /api/\n")
