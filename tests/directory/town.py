"""A town of people, companies and communities, made through the doors."""

import random
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx2
from stdnum import luhn

from chassis.auth import Role
from chassis.ids import new_id
from tests.stand import Stand

URL = "/api/directory"


def a_siret() -> str:
    siren = f"{random.randrange(10**7, 10**8)}"
    siren += luhn.calc_check_digit(siren)
    siret = f"{siren}{random.randrange(10**4):04}"
    return siret + luhn.calc_check_digit(siret)


def a_sheet(**changes: Any) -> dict[str, Any]:
    return {
        "siret": a_siret(),
        "name": f"Ateliers {uuid4().hex[:8]}",
        "address": {
            "street": "12 rue du Port",
            "postcode": "76600",
            "commune_code": "76351",
        },
        "phone": "02 35 11 22 33",
        "naf": "25.62B",
        **changes,
    }


def a_profile(**changes: Any) -> dict[str, Any]:
    return {"last_name": "Lefèvre", "first_name": "Anaïs", **changes}


@dataclass(kw_only=True)
class Person:
    """Somebody who calls the directory."""

    id: UUID
    headers: dict[str, str]
    stand: Stand

    async def call(self, method: str, path: str, **how: Any) -> httpx2.Response:
        headers = {**self.headers, **how.pop("headers", {})}
        return await self.stand.client.request(method, f"{URL}{path}", headers=headers, **how)

    async def get(self, path: str, **params: Any) -> httpx2.Response:
        return await self.call("GET", path, params=params or None)

    async def post(self, path: str, json: Any = None, **how: Any) -> httpx2.Response:
        return await self.call("POST", path, json=json, **how)

    async def put(self, path: str, json: Any = None, **how: Any) -> httpx2.Response:
        return await self.call("PUT", path, json=json, **how)

    async def delete(self, path: str) -> httpx2.Response:
        return await self.call("DELETE", path)


def problem(answer: httpx2.Response) -> tuple[int, str]:
    """Status and slug of a refusal."""
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


@dataclass(kw_only=True)
class Community:
    """A community as the tests know it."""

    id: str
    slug: str
    cci: str


class Town:
    """Makes people, companies and communities."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand

    def somebody(self, *roles: Role) -> Person:
        person = new_id()
        return Person(id=person, headers=self.stand.token(person, roles=roles), stand=self.stand)

    def operator(self) -> Person:
        return self.somebody(Role.OPERATOR)

    async def a_community(self, *, open_joining: bool = False, cci: str = "") -> Community:
        slug = f"c-{uuid4().hex[:12]}"
        cci = cci or f"cci-{uuid4().hex[:8]}"
        opened = await self.operator().post(
            "/communities",
            {
                "slug": slug,
                "name": f"Filière {slug}",
                "description": "Une filière",
                "cci": cci,
                "sector": "Nucléaire",
                "territory": ["76", "27"],
                "open_joining": open_joining,
            },
        )
        assert opened.status_code == 201, opened.text
        return Community(id=opened.json()["id"], slug=slug, cci=cci)

    async def an_animator(self, community: Community) -> Person:
        person = self.somebody()
        done = await self.operator().post(
            f"/communities/{community.id}/animators", {"person_id": str(person.id)}
        )
        assert done.status_code == 204, done.text
        return person

    async def an_agent(self, cci: str) -> Person:
        person = self.somebody(Role.AGENT)
        done = await self.operator().post("/agents", {"person_id": str(person.id), "cci": cci})
        assert done.status_code == 204, done.text
        return person

    async def a_company(self, owner: Person, **sheet: Any) -> str:
        listed = await owner.post("/companies", a_sheet(**sheet))
        assert listed.status_code == 201, listed.text
        company: str = listed.json()["id"]
        return company

    async def a_colleague(self, owner: Person, company: str, *, role: str = "colleague") -> Person:
        """Somebody who asked to be attached, and was accepted."""
        person = self.somebody()
        await self.ask(person, owner, company)
        accepted = await owner.post(
            f"/companies/{company}/attachments/{person.id}/acceptance", {"role": role}
        )
        assert accepted.status_code == 204, accepted.text
        return person

    async def ask(self, person: Person, owner: Person, company: str) -> None:
        siret = (await owner.get(f"/companies/{company}")).json()["siret"]
        asked = await person.post("/companies", a_sheet(siret=siret))
        assert asked.status_code == 201, asked.text
        assert asked.json()["attachment"] == {"role": "colleague", "state": "pending"}

    async def join(self, person: Person, company: str, community: Community, **more: Any) -> str:
        joined = await person.post(
            f"/communities/{community.slug}/memberships", {"company_id": company, **more}
        )
        assert joined.status_code == 201, joined.text
        membership: str = joined.json()["id"]
        return membership

    async def a_member(self, community: Community, **sheet: Any) -> tuple[Person, str]:
        """Somebody with a profile and a company, active in a community that is open."""
        person = self.somebody()
        assert (await person.put("/me/profile", a_profile())).status_code == 200
        company = await self.a_company(person, **sheet)
        await self.join(person, company, community)
        return person, company
