"""People with real accounts, and what the rest of the platform says about them."""

import asyncio
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2

from chassis import clock
from chassis.ids import new_id
from contracts.consultations import ConsultationPublished
from contracts.directory import (
    AnimatorAppointed,
    CommunityOpened,
    MembershipEnded,
    MembershipGranted,
    MembershipRequested,
)
from tests.mailbox import Mailbox, token_in
from tests.proxy import Proxy
from tests.stand import Stand

PASSWORD = "Sept-Péniches-Bleues-42"


@dataclass(frozen=True)
class Person:
    """Somebody with an account at identity."""

    id: UUID
    email: str


@dataclass(frozen=True)
class Community:
    """A community that directory has opened."""

    id: UUID
    slug: str


@dataclass(kw_only=True)
class World:
    """Notifications, the identity that knows the addresses, and the lines between them."""

    stand: Stand
    identity: Stand
    mailbox: Mailbox
    identity_line: Proxy
    mail_line: Proxy

    async def a_person(self) -> Person:
        """Somebody who signed up and confirmed; the mailbox forgets how."""
        email = f"{uuid4().hex}@entreprise.example"
        client = self.identity.client
        asked = await client.post(
            "/api/identity/accounts",
            json={"email": email, "password": PASSWORD, "notice_version": "2026-11"},
        )
        assert asked.status_code == 202, asked.text
        token = token_in(await self.mailbox.wait_for(email))
        for _ in range(50):  # the link opens a moment after its mail has gone
            done = await client.post("/api/identity/accounts/verify", json={"token": token})
            if done.status_code == 204:
                break
            await asyncio.sleep(0.02)
        assert done.status_code == 204, done.text
        self.mailbox.mails[:] = [mail for mail in self.mailbox.mails if mail["To"] != email]
        found = await self.identity.rows("select id from account where email = $1", email)
        return Person(found[0][0], email)

    async def a_community(self) -> Community:
        community = Community(new_id(), f"filiere-{uuid4().hex[:8]}")
        await self.stand.say(
            CommunityOpened(community_id=community.id, slug=community.slug, cci="normandie")
        )
        await self.stand.eventually("select slug from community where id = $1", community.id)
        return community

    async def a_member(self, *communities: Community) -> Person:
        """A person whose welcome has arrived, in each community."""
        person = await self.a_person()
        for community in communities:
            await self.grant(person, community)
        await self.mailbox.wait_for(person.email, count=len(communities))
        return person

    async def grant(self, person: Person, community: Community) -> UUID:
        """The id of a new membership that notifications has heard of."""
        event = MembershipGranted(
            membership_id=new_id(),
            person_id=person.id,
            company_id=new_id(),
            community_id=community.id,
        )
        await self.stand.say(event)
        await self.stand.eventually("select id from membership where id = $1", event.membership_id)
        return event.membership_id

    async def end(self, person: Person, community: Community, membership_id: UUID) -> None:
        await self.stand.say(
            MembershipEnded(
                membership_id=membership_id,
                person_id=person.id,
                company_id=new_id(),
                community_id=community.id,
            )
        )
        await self.stand.eventually(
            "select not exists (select from membership where id = $1)", membership_id
        )

    async def appoint(self, person: Person, community: Community) -> None:
        await self.stand.say(AnimatorAppointed(community_id=community.id, person_id=person.id))
        await self.stand.eventually(
            "select true from animator where person_id = $1 and community_id = $2",
            person.id,
            community.id,
        )

    async def request(self, person: Person, community: Community) -> UUID:
        event = MembershipRequested(
            membership_id=new_id(),
            person_id=person.id,
            company_id=new_id(),
            community_id=community.id,
        )
        await self.stand.say(event)
        return event.membership_id

    async def publish(
        self, *communities: Community, consultation_id: UUID | None = None
    ) -> ConsultationPublished:
        event = ConsultationPublished(
            consultation_id=consultation_id or new_id(),
            company_id=new_id(),
            community_ids=tuple(community.id for community in communities),
            closes_at=clock.now() + timedelta(days=30),
        )
        event_id = await self.stand.say(event)
        await self.stand.eventually("select state from inbox where event_id = $1", event_id)
        return event

    async def call(
        self, method: str, path: str, person: Person | None = None, **options: Any
    ) -> httpx2.Response:
        headers = options.pop("headers", {}) | (self.stand.token(person.id) if person else {})
        return await self.stand.client.request(
            method, f"/api/notifications{path}", headers=headers, **options
        )

    async def inbox(self, person: Person) -> list[dict[str, Any]]:
        answer = await self.call("GET", "/me/inbox", person)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def subscribed(self, person: Person, community: Community) -> bool:
        answer = await self.call("GET", "/me/subscriptions", person)
        assert answer.status_code == 200, answer.text
        return any(
            one["subscribed"] for one in answer.json() if one["community_id"] == str(community.id)
        )


def text_of(mail: Any) -> str:
    """What a mail says, with line ends of one character."""
    return str(mail.get_content()).replace("\r\n", "\n")


def unsubscribe_link(mail: Any) -> str:
    """The path of the one-click address in the headers of a mail."""
    found = re.fullmatch(
        r"<http://platform\.example(/api/notifications/unsubscribe/[\w-]+)>",
        dict(mail.raw_items())["List-Unsubscribe"],
    )
    assert found, mail["List-Unsubscribe"]
    return found.group(1).removeprefix("/api/notifications")
