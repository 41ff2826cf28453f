"""The page at `/` while there is no site: what this is, who may enter, and a tour to follow.

`CCIB_STACK` names the file that describes the stack (`stack.json`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from deploy.local import pages, tour
from deploy.local.layout import SERVICES, read_json

ROLES = {
    "member": ("Membre", "Tient sa fiche, rejoint des communautés, répond aux consultations."),
    "buyer": ("Donneur d'ordre", "Publie des consultations et choisit ses fournisseurs."),
    "animator": ("Animateur de communauté", "Accueille les membres et fait vivre sa communauté."),
    "agent": ("Conseiller CCI", "Accompagne les entreprises des communautés de sa chambre."),
    "dpo": ("Délégué à la protection des données", "Suit les demandes, les délais et les preuves."),
    "operator": ("Exploitant", "Installe, surveille, raccorde les systèmes partenaires."),
}

PURPOSES = {
    "identity": ("Identité", "Comptes, mots de passe, sessions, jetons."),
    "directory": ("Annuaire", "Profils, entreprises, communautés, adhésions, recherche."),
    "consultations": ("Consultations", "Appels des donneurs d'ordre et réponses des membres."),
    "privacy": ("Données personnelles", "Effacements, certificats, notice, registre."),
    "notifications": ("Messages", "Abonnements, lettres d'information, messagerie interne."),
}


def create_app() -> FastAPI:
    """Started by `uvicorn --factory`."""
    return build_app(stack=Path(os.environ["CCIB_STACK"]))


def build_app(*, stack: Path) -> FastAPI:
    """The description is read at each visit: it appears after this process."""
    app = FastAPI(title="CCI Business", openapi_url=None)
    pages.add_static(app)

    @app.api_route("/", methods=["GET", "HEAD"])
    def index(request: Request) -> HTMLResponse:
        known = read_json(stack)
        return pages.render(
            "landing.html",
            mail=known.get("mail", "http://127.0.0.1:8025"),
            accounts=[
                _account(role, account) for role, account in known.get("accounts", {}).items()
            ],
            services=[
                {"name": name, "title": title, "purpose": purpose}
                for name in SERVICES
                for title, purpose in [PURPOSES.get(name, (name, ""))]
            ],
            tour=tour.steps({"gateway": str(request.base_url).rstrip("/")} | known),
        )

    @app.exception_handler(404)
    def missing(request: Request, _error: Exception) -> Response:
        if request.url.path.startswith("/api/"):  # a program asks: the same error as everywhere
            problem = {"type": "urn:ccib:problem:not-found", "title": "Introuvable", "status": 404}
            return JSONResponse(problem, 404, media_type="application/problem+json")
        return pages.render("missing.html", status=404)

    return app


def _account(role: str, account: dict[str, Any]) -> dict[str, Any]:
    title, purpose = ROLES.get(role, (role, ""))
    return {"role": title, "purpose": purpose, **account}
