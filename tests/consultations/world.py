"""People, companies and communities, as directory tells of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2

from chassis import clock
from chassis.auth import Role
from chassis.ids import new_id
from contracts.directory import (
    AnimatorAppointed,
    AttachmentRole,
    CommunityOpened,
    MembershipGranted,
    PersonAttached,
)
from tests.stand import Stand

URL = "/api/consultations/consultations"


@dataclass(kw_only=True)
class Actor:
    """Somebody who calls the service."""

    id: UUID
    company_id: UUID
    headers: dict[str, str]
    stand: Stand
    memberships: list[UUID] = field(default_factory=list)

    async def get(self, path: str = "", **params: Any) -> httpx2.Response:
        return await self.stand.client.get(f"{URL}{path}", headers=self.headers, params=params)

    async def post(
        self, path: str = "", *, json: Any = None, key: str | None = None
    ) -> httpx2.Response:
        headers = {**self.headers, **({"Idempotency-Key": key} if key else {})}
        return await self.stand.client.post(f"{URL}{path}", headers=headers, json=json)

    async def patch(self, path: str, *, json: Any) -> httpx2.Response:
        return await self.stand.client.patch(f"{URL}{path}", headers=self.headers, json=json)

    async def delete(self, path: str) -> httpx2.Response:
        return await self.stand.client.delete(f"{URL}{path}", headers=self.headers)

    async def ids(self, **params: Any) -> list[str]:
        """What the list shows, over all its pages."""
        found: list[str] = []
        after: dict[str, str] = {}
        while True:
            page = await self.get(**params, **after)
            assert page.status_code == 200, page.text
            found.extend(item["id"] for item in page.json()["items"])
            if page.json()["next"] is None:
                return found
            after = {"after": page.json()["next"]}

    async def reply(self, call: str, **more: Any) -> httpx2.Response:
        """Reply to a consultation for the actor's company."""
        body = {"company_id": str(self.company_id), "message": "Nous savons faire.", **more}
        return await self.post(f"/{call}/replies", json=body)


@dataclass
class World:
    stand: Stand

    async def a_community(self) -> UUID:
        made = new_id()
        event = CommunityOpened(community_id=made, slug=f"c-{made}", cci="cci-de-demo")
        await self.stand.say(event)
        await self.stand.eventually("select true from community where id = $1", made)
        return made

    def a_stranger(self, *, roles: Iterable[Role] = ()) -> Actor:
        """Signed in, attached to nothing."""
        person = new_id()
        return Actor(
            id=person,
            company_id=new_id(),
            headers=self.stand.token(person, roles=roles),
            stand=self.stand,
        )

    def a_visitor(self) -> Actor:
        return Actor(id=new_id(), company_id=new_id(), headers={}, stand=self.stand)

    async def somebody(
        self,
        *,
        company_id: UUID | None = None,
        role: AttachmentRole = AttachmentRole.ADMINISTRATOR,
        roles: Iterable[Role] = (),
    ) -> Actor:
        """Attached to a company, member of nothing."""
        actor = self.a_stranger(roles=roles)
        actor.company_id = company_id or actor.company_id
        await self.attach(actor, actor.company_id, role=role)
        return actor

    async def attach(
        self,
        actor: Actor,
        company_id: UUID,
        *,
        role: AttachmentRole = AttachmentRole.ADMINISTRATOR,
    ) -> None:
        event = PersonAttached(company_id=company_id, person_id=actor.id, role=role)
        await self.stand.say(event)
        await self.stand.eventually(
            "select true from attachment where person_id = $1 and company_id = $2 and role = $3",
            actor.id,
            company_id,
            role.value,
        )

    async def a_buyer(self, **more: Any) -> Actor:
        return await self.somebody(roles=[Role.BUYER], **more)

    async def a_member(self, of: UUID, **more: Any) -> Actor:
        """Attached to a company, and member of a community for it."""
        actor = await self.somebody(**more)
        membership = new_id()
        event = MembershipGranted(
            membership_id=membership,
            person_id=actor.id,
            company_id=actor.company_id,
            community_id=of,
        )
        await self.stand.say(event)
        await self.stand.eventually("select true from membership where id = $1", membership)
        actor.memberships.append(membership)
        return actor

    async def an_animator(self, of: UUID) -> Actor:
        actor = self.a_stranger()
        await self.stand.say(AnimatorAppointed(community_id=of, person_id=actor.id))
        await self.stand.eventually("select true from animator where person_id = $1", actor.id)
        return actor

    async def a_draft(self, buyer: Actor, *communities: UUID, **more: Any) -> str:
        answer = await buyer.post(json=words(*communities, **more))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def published(self, buyer: Actor, *communities: UUID, **more: Any) -> str:
        call = await self.a_draft(buyer, *communities, **more)
        answer = await buyer.post(f"/{call}/publication")
        assert answer.status_code == 200, answer.text
        return call


def words(*communities: UUID, **more: Any) -> dict[str, Any]:
    """The body of a new consultation."""
    return {
        "title": "Révision de douze vannes",
        "description": "Démontage, expertise et essais en banc.",
        "kind": "sourcing",
        "communities": [str(community) for community in communities],
        "closes_at": (clock.now() + timedelta(days=10)).isoformat(),
        **more,
    }


def problem(answer: httpx2.Response) -> tuple[int, str]:
    """Status and slug of a refusal, which must be a problem document in French."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["title"]
    assert body["status"] == answer.status_code
    return answer.status_code, body["type"].removeprefix("urn:ccib:problem:")
