"""Pages that hardly change: help, accessibility, who is behind the site."""

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from web.rendering import page

router = APIRouter()

ANSWERS = {
    "supprimer-mon-compte": "Comment supprimer mon compte ?",
    "me-desabonner": "Comment me désabonner ?",
    "qui-lit-mes-donnees": "Qui peut lire mes données ?",
    "verifier-un-certificat": "Comment vérifier un certificat ?",
}


@router.get("/aide")
async def index(request: Request) -> Response:
    return page(request, "help/index.html", answers=ANSWERS)


@router.get("/aide/{name}")
async def answer(request: Request, name: str) -> Response:
    if name not in ANSWERS:
        raise HTTPException(404)
    return page(request, f"help/{name}.html", question=ANSWERS[name], answers=ANSWERS, name=name)


@router.get("/accessibilite")
async def accessibility(request: Request) -> Response:
    return page(request, "help/accessibility.html")


@router.get("/mentions-legales")
async def legal(request: Request) -> Response:
    return page(request, "help/legal.html")
