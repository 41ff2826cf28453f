"""The known accounts of the demo come through the doors and find what they came for."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chassis.auth import Role
from chassis.service import Service
from deploy.demo.accounts import DEMO_ACCOUNTS
from services.consultations.wiring import SERVICE as CONSULTATIONS
from services.directory.wiring import SERVICE as DIRECTORY
from services.identity.wiring import SERVICE as IDENTITY
from services.notifications.wiring import SERVICE as NOTIFICATIONS
from tests.mailbox import Mailbox
from tests.seed.conftest import PASSWORD, Databases, Demo, rows
from tests.stand import Stand, standing


@pytest.fixture(scope="package")
async def copied(databases: Databases, demo: Demo) -> dict[str, str]:
    """The demo once more: services that start write to their database."""
    return await databases.copy(of=demo.urls)


@pytest.fixture
def door(
    copied: dict[str, str],
    demo: Demo,
    servers: SimpleNamespace,
    mailbox: Mailbox,
    tmp_path: Path,
) -> Any:
    @asynccontextmanager
    async def open_door(service: Service) -> AsyncIterator[Stand]:
        """A service that starts, which it does only when its schema is what it declares."""
        async with standing(
            service,
            servers=servers,
            folder=tmp_path,
            smtp_url=mailbox.url,
            worker=False,
            database_url=copied[service.name],
            storage_url=demo.storage.as_uri(),
        ) as stand:
            yield stand

    return open_door


async def get(stand: Stand, path: str, headers: dict[str, str], **query: Any) -> Any:
    answer = await stand.client.get(path, params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_each_of_them_can_sign_in_and_has_their_role(door: Any) -> None:
    roles = {"buyer": ["buyer"], "agent": ["agent"], "dpo": ["dpo"], "operator": ["operator"]}
    async with door(IDENTITY) as stand:
        for role, email in DEMO_ACCOUNTS.items():
            answer = await stand.client.post(
                "/api/identity/sessions", json={"email": email, "password": PASSWORD}
            )
            assert answer.status_code < 300, answer.text
            me = await get(
                stand,
                "/api/identity/me",
                {"Authorization": f"Bearer {answer.json()['access_token']}"},
            )
            assert me["roles"] == roles.get(role, [])


async def test_members_find_a_company_whose_name_they_misspell(door: Any, demo: Demo) -> None:
    found = await rows(demo.urls["directory"], "select id, name from company order by siret")
    company, word = next(
        (row, word) for row in found for word in re.findall(r"[a-z]{8,}", row["name"].lower())
    )
    misspelled = word[:3] + word[4:]
    async with door(DIRECTORY) as stand:
        member = stand.token(await demo.person("membre"))
        page = await get(stand, "/api/directory/companies", member, q=misspelled)
        assert str(company["id"]) in {one["id"] for one in page["items"]}
        assert all(one["generated"] for one in page["items"])


async def test_the_member_has_companies_memberships_and_a_face(door: Any, demo: Demo) -> None:
    async with door(DIRECTORY) as stand:
        member = stand.token(await demo.person("membre"))
        companies = await get(stand, "/api/directory/me/companies", member)
        assert [(one["role"], one["state"]) for one in companies] == [
            ("administrator", "active")
        ] * 2
        memberships = await get(stand, "/api/directory/me/memberships", member)
        assert [one["state"] for one in memberships] == ["active"] * 3
        answer = await stand.client.get("/api/directory/me/photo", headers=member)
        assert answer.content.startswith(b"RIFF")


async def test_the_animator_has_requests_to_answer_and_is_told_so(door: Any, demo: Demo) -> None:
    animator = await demo.person("animateur")
    led = await demo.set(
        "directory",
        "select slug from community join community_animator on community_id = id"
        " where person_id = $1",
        animator,
    )
    ((slug,),) = led
    async with door(DIRECTORY) as stand:
        queue = await get(
            stand,
            f"/api/directory/communities/{slug}/memberships",
            stand.token(animator),
            state="pending",
        )
        assert len(queue["items"]) >= 3
        latest = queue["items"][-1]  # the oldest may be older than what an inbox keeps
        assert latest["person"]["last_name"]
        answer = await stand.client.post(
            f"/api/directory/memberships/{latest['id']}/decision",
            json={"grant": True},
            headers=stand.token(animator),
        )
        assert answer.status_code == 200, answer.text
    async with door(NOTIFICATIONS) as stand:
        inbox = await get(stand, "/api/notifications/me/inbox", stand.token(animator))
        assert latest["id"] in {one["target_id"] for one in inbox["items"]}
        newsletters = await get(
            stand,
            "/api/notifications/me/subscriptions",
            stand.token(await demo.person("membre")),
        )
        assert len(newsletters) == 3


async def test_the_adviser_sees_the_companies_of_their_chamber(door: Any, demo: Demo) -> None:
    async with door(DIRECTORY) as stand:
        agent = stand.token(await demo.person("conseiller"), roles=[Role.AGENT])
        page = await get(stand, "/api/directory/companies", agent)
        theirs = await demo.set(
            "directory",
            "select count(distinct company_id) from membership m"
            " join community c on c.id = community_id and cci = 'cci-normandie'"
            " where state in ('active', 'pending')",
        )
        assert {(page["total"],)} == theirs
        assert 0 < page["total"] < 60


async def test_the_member_can_answer_an_open_call_of_the_buyer(door: Any, demo: Demo) -> None:
    buyer, member = await demo.person("acheteur"), await demo.person("membre")
    async with door(CONSULTATIONS) as stand:
        own = await get(
            stand,
            "/api/consultations/consultations",
            stand.token(buyer, roles=[Role.BUYER]),
            mine="true",
            state="published",
        )
        assert len(own["items"]) >= 3
        readable = await get(
            stand,
            "/api/consultations/consultations",
            stand.token(member),
            state="published",
            limit="100",
        )
        shared = {one["id"] for one in own["items"]} & {one["id"] for one in readable["items"]}
        assert len(shared) >= 3
        calls = [
            await get(stand, f"/api/consultations/consultations/{one}", stand.token(member))
            for one in shared
        ]
        assert {call["author_id"] for call in calls} == {str(buyer)}
        assert all(call["description"] for call in calls)
