"""Every link of the header and the footer, in one place. One whose page does not exist is not shown."""

from collections.abc import Set as AbstractSet
from typing import NamedTuple

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

VISITOR = "visitor"
EVERYBODY = frozenset({VISITOR, "member"})


class Link(NamedTuple):
    """`kinds`: whose menu it is in (see `Person.kinds`, or `visitor`)."""

    path: str
    label: str
    kinds: frozenset[str]


HEADER = (
    Link("/tableau-de-bord", "Tableau de bord", frozenset({"member"})),
    Link("/annuaire", "Annuaire", frozenset({"member"})),
    Link("/communautes", "Communautés", EVERYBODY),
    Link("/consultations", "Consultations", EVERYBODY),
    Link("/animation", "Demandes d'adhésion", frozenset({"manager"})),
    Link("/effacements", "Effacements", frozenset({"dpo"})),
    Link("/demandes-de-droits", "Demandes de droits", frozenset({"dpo"})),
    Link("/aide", "Aide", frozenset({VISITOR})),
)
FOOTER = (
    Link("/donnees-personnelles", "Protection des données", EVERYBODY),
    Link("/cookies", "Cookies", EVERYBODY),
    Link("/accessibilite", "Accessibilité", EVERYBODY),
    Link("/aide", "Aide", EVERYBODY),
    Link("/contact", "Contact et exercice de vos droits", EVERYBODY),
    Link("/mentions-legales", "Mentions légales", EVERYBODY),
)
ACCOUNT = Link("/mon-compte", "Mon compte", frozenset({"member"}))


def pages_of(app: FastAPI) -> frozenset[str]:
    """The paths that exist."""
    return frozenset(str(route.path) for route in iter_route_contexts(app.routes))


def shown(
    links: tuple[Link, ...], *, kinds: AbstractSet[str], pages: AbstractSet[str]
) -> list[Link]:
    """What these people see of a menu."""
    return [link for link in links if link.kinds & kinds and link.path in pages]
