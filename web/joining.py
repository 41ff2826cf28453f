"""Where a person stands on the way in: read from what they have done, never kept."""

import asyncio
from dataclasses import dataclass
from typing import Any

from web.gateway import ApiError
from web.sessions import Person

LABELS = ("Compte", "Profil", "Entreprise", "Communauté")
_PATHS = ("", "/inscription/profil", "/inscription/entreprise", "/inscription/communaute")
LIVE = ("active", "pending")
"""States of a membership that counts."""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What there is of a person in the directory."""

    profile: dict[str, Any] | None
    companies: list[dict[str, Any]]
    memberships: list[dict[str, Any]]
    """Those that count, newest first."""

    @property
    def done(self) -> tuple[bool, ...]:
        """By step, in the order of `LABELS`."""
        return True, bool(self.profile), bool(self.companies), bool(self.memberships)

    @property
    def entries(self) -> list[tuple[str, str, bool]]:
        """Label, address and whether it is done."""
        return list(zip(LABELS, _PATHS, self.done, strict=True))

    @property
    def acting(self) -> list[dict[str, Any]]:
        """The companies that the person acts for already."""
        return [one for one in self.companies if one["state"] == "active"]

    @property
    def next(self) -> str:
        """The page of the first step that is left."""
        open_steps = (path for _, path, done in self.entries if not done)
        return next(open_steps, "/inscription/termine")


async def steps(person: Person) -> Steps:
    profile, companies, memberships = await asyncio.gather(
        own_profile(person),
        person.api.get("directory/me/companies"),
        person.api.get("directory/me/memberships"),
    )
    return Steps(
        profile=profile,
        companies=companies,
        memberships=[one for one in memberships if one["state"] in LIVE],
    )


async def own_profile(person: Person) -> dict[str, Any] | None:
    """What the person said about themself, if anything."""
    try:
        found: dict[str, Any] = await person.api.get("directory/me/profile")
    except ApiError as refused:
        if refused.status == 404:
            return None
        raise
    return found
