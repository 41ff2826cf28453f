"""`docs/access.md`, read as data: who may use which route."""

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from deploy.local.layout import REPOSITORY, SERVICES

CALLERS = (
    "visitor",
    "stranger",
    "neighbour",
    "owner",
    "animator",
    "other animator",
    "agent",
    "other agent",
    "buyer",
    "dpo",
    "operator",
    "client",
    "scoped client",
)
IN = "in"
CELLS = {IN, "401", "403", "404"}
EVERY = "every service"


@dataclass(frozen=True)
class Row:
    """One route, about one kind of thing."""

    section: str
    route: str
    about: str
    cells: tuple[str, ...]

    @property
    def method(self) -> str:
        return self.route.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.route.partition(" ")[2]

    @property
    def public(self) -> bool:
        """Whether visitors are let in."""
        return self.cells[0] == IN

    def __str__(self) -> str:
        return f"{self.section}: {self.route} ({self.about})"


def read() -> list[Row]:
    """Every row of every table whose heading names a service, or all of them."""
    found: list[Row] = []
    section = ""
    for line in (REPOSITORY / "docs" / "access.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ").strip().lower()
        if not line.startswith("| `") or section not in {*SERVICES, EVERY}:
            continue
        route, about, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        assert len(cells) == len(CALLERS), line
        assert set(cells) <= CELLS, line
        found.append(Row(section, route.strip("`"), about, tuple(cells)))
    return found


def routes(app: FastAPI) -> Iterator[str]:
    """Every route of an application, those outside its documentation included."""
    for found in iter_route_contexts(app.routes):
        methods = (getattr(found, "methods", None) or {"GET"}) - {"HEAD"}
        yield from (f"{method} {found.path}" for method in methods)
