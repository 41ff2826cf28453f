"""The door inside the platform: privacy alone may ask a service what it holds about somebody."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest

from chassis import access, erasure
from chassis.auth import Role
from chassis.ids import new_id
from deploy.local.keys import CLIENTS
from tests.access.conftest import Street
from tests.stand import Stand


def reader(stand: Stand, **more: Any) -> dict[str, str]:
    return stand.token(scopes=[access.SCOPE], **more)


async def held(stand: Stand, person: UUID, *, expect: int = 200, **headers: str) -> Any:
    answer = await stand.client.get(
        f"/internal/subjects/{person}", headers=headers or reader(stand)
    )
    assert answer.status_code == expect, answer.text
    return answer.json()


def test_only_privacys_client_has_the_scope() -> None:
    assert [name for name, scopes in CLIENTS.items() if access.SCOPE in scopes] == ["privacy"]


async def test_every_service_answers_with_all_its_tables(street: Street, person: UUID) -> None:
    for stand in (street.identity, street.directory, street.privacy):
        found = await held(stand, person)
        assert found["service"] == stand.runtime.service.name
        tables = {section["table"] for section in found["sections"]}
        assert tables == set(stand.runtime.service.catalogue.tables())
        assert not any(section["total"] for section in found["sections"])


async def test_nobody_else_may_ask(street: Street, person: UUID) -> None:
    stand = street.directory
    refused: list[tuple[int, Mapping[str, str]]] = [
        (401, {"Authorization": "Bearer nonsense"}),
        (401, reader(stand, audiences=["privacy", "identity"])),
        (401, reader(stand, shift=-400)),
        (403, stand.token(person)),
        (403, stand.token(uuid4(), roles=[Role.AGENT])),
        (403, stand.token(uuid4(), roles=list(Role), scopes=[access.SCOPE])),
        (403, stand.token(scopes=["identity:addresses"])),
    ]
    for status, headers in refused:
        await held(stand, person, expect=status, **headers)
    for path in (f"{person}", f"{person}/files/photos/x.webp"):
        answer = await stand.client.get(f"/internal/subjects/{path}")
        assert answer.status_code == 401


async def test_the_door_stands_in_no_public_description(street: Street) -> None:
    for stand in (street.identity, street.directory, street.privacy):
        name = stand.runtime.service.name
        described = (await stand.client.get(f"/api/{name}/openapi.json")).text
        assert "internal" not in described


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("nobody", 422),
        ("{person}?limit=0", 422),
        ("{person}?limit=5001", 422),
        ("{person}?offset=-1", 422),
        ("{person}?offset=10000001", 422),
        ("{person}/files/", 404),
        ("{person}/files/..%2f..%2fetc%2fpasswd", 404),
        ("{person}/files/%00", 422),
        ("{person}/files/" + "x" * 5000, 404),
    ],
)
async def test_bad_input_is_refused_by_name(
    street: Street, person: UUID, path: str, status: int
) -> None:
    answer = await street.directory.client.get(
        f"/internal/subjects/{path.format(person=person)}", headers=reader(street.directory)
    )
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_file_is_for_who_asks_about_its_owner(street: Street) -> None:
    stand, owner = street.directory, new_id()
    await street.tells(owner)
    key = f"photos/{uuid4()}.webp"
    await stand.rows(
        "INSERT INTO photo (storage_key, person_id, state, asked_at)"
        " VALUES ($1, $2, 'stored', now())",
        key,
        owner,
    )
    url = f"/internal/subjects/{owner}/files/{key}"
    assert (await stand.client.get(url, headers=reader(stand))).status_code == 404  # not there yet
    await stand.runtime.storage.put(key, b"picture")
    answer = await stand.client.get(url, headers=reader(stand))
    assert (answer.status_code, answer.content) == (200, b"picture")
    url = f"/internal/subjects/{new_id()}/files/{key}"
    assert (await stand.client.get(url, headers=reader(stand))).status_code == 404


async def test_nothing_is_told_about_who_was_erased(street: Street) -> None:
    person = new_id()
    stand = street.directory
    await street.tells(person, about="Je pars")
    assert "Je pars" in str(await held(stand, person))
    async with stand.runtime.db.transaction() as session:
        await erasure.erase(session, [person], stand.runtime.eraser)
    gone = await held(stand, person, expect=410)
    assert gone["type"].endswith("subject-erased")
    url = f"/internal/subjects/{person}/files/photos/x.webp"
    assert (await stand.client.get(url, headers=reader(stand))).status_code == 410
