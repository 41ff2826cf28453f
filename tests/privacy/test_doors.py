"""What privacy's routes refuse: nothing that a stranger sends is an internal error."""

import re
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from chassis import pagination
from chassis.auth import Role
from chassis.ids import new_id
from tests.privacy.troupe import dpo
from tests.stand import Stand

PUBLIC = {
    "get notice": 200,
    "get certificates-keys": 200,
    "get notices": 200,
    "get notices/{version}": 404,
    "post rights-requests": 422,
    "get rights-requests/confirmations/{token}": 410,
    "post rights-requests/confirmations": 422,
    "post cookie-choices": 422,
    "get cookie-choices/{choice_id}": 404,
    "delete cookie-choices/{choice_id}": 404,
}
"""What anybody may call, and what it answers to nonsense."""

PARTICIPANTS = "/api/privacy/participants"
GOOD = {"name": "chambre-x", "contact": "rgpd@chambre.example", "deadline_days": 30}


def problem(answer: httpx2.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return str(answer.json()["type"]).removeprefix("urn:ccib:problem:")


@pytest.fixture
def operator(privacy: Stand) -> dict[str, str]:
    return privacy.token(new_id(), roles=[Role.OPERATOR])


async def test_every_route_asks_who_is_calling_but_the_public_ones(privacy: Stand) -> None:
    paths = (await privacy.client.get("/api/privacy/openapi.json")).json()["paths"]
    for path, methods in paths.items():
        for method in methods:
            answer = await privacy.client.request(
                method, re.sub(r"\{\w+\}", str(new_id()), path), json=GOOD
            )
            name = f"{method} {path.removeprefix('/api/privacy/')}"
            assert answer.status_code == PUBLIC.get(name, 401), name


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "A"},
        {"name": "Majuscule"},
        {"name": "a.b"},
        {"name": "a\x00b"},
        {"name": "a/../b"},
        {"name": "-tiret"},
        {"name": "ligne\nb"},
        {"name": "x" * 42},
        {"name": 5},
        {"name": None},
        {"contact": "pas une adresse"},
        {"contact": "a\x00@b.example"},
        {"contact": "x" * 300 + "@b.example"},
        {"contact": ["a@b.example"]},
        {"deadline_days": 0},
        {"deadline_days": 31},
        {"deadline_days": 10**30},
        {"deadline_days": "trente"},
        {"deadline_days": 1.5},
        {"active": False},
    ],
    ids=str,
)
async def test_a_wrong_field_is_named(
    privacy: Stand, operator: dict[str, str], change: dict[str, Any]
) -> None:
    answer = await privacy.client.post(PARTICIPANTS, json=GOOD | change, headers=operator)
    assert (answer.status_code, problem(answer)) == (422, "invalid-input")
    assert [e["pointer"] for e in answer.json()["errors"]] == [f"/body/{next(iter(change))}"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"name": ', (400, "malformed-request")),
        (b"\xff\xfe", (400, "malformed-request")),
        (b"[" * 50_000, (400, "malformed-request")),
        (b"[]", (422, "invalid-input")),
        (b"null", (422, "invalid-input")),
        (b"", (422, "invalid-input")),
        (b'{"name": "' + b"x" * 2_000_000 + b'"}', (413, "too-large")),
    ],
    ids=range(7),
)
async def test_a_body_that_is_not_what_is_asked_for(
    privacy: Stand, operator: dict[str, str], body: bytes, expected: tuple[int, str]
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield body

    for content in (body, chunks()):
        answer = await privacy.client.post(
            PARTICIPANTS, content=content, headers={**operator, "content-type": "application/json"}
        )
        assert (answer.status_code, problem(answer)) == expected


@pytest.mark.parametrize("of", ["erasures", "certificates"])
@pytest.mark.parametrize("name", ["1", "not-a-uuid", "%00", "é", "x" * 5_000])
async def test_an_erasure_is_named_by_a_uuid(privacy: Stand, of: str, name: str) -> None:
    answer = await privacy.client.get(f"/api/privacy/{of}/{name}", headers=dpo(privacy))
    assert (answer.status_code, problem(answer)) == (422, "invalid-input")


@pytest.mark.parametrize("of", ["erasures", "certificates"])
async def test_a_key_of_any_size_is_an_answer_not_an_error(privacy: Stand, of: str) -> None:
    for key, expected in (("x" * 2_001, 422), ("x" * 2_000, 404), ("a.b.c", 404), ("..", 404)):
        answer = await privacy.client.get(
            f"/api/privacy/{of}/{new_id()}", headers={"Erasure-Key": key}
        )
        assert answer.status_code == expected


def cursor(*values: Any) -> str:
    return pagination.encode(*values)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=x",
        "after=x",
        "after=%00",
        "after=é",
        f"after={'x' * 501}",
        f"after={urlsafe_b64encode(b'[1, 2').decode()}",
        f"after={cursor()}",
        f"after={cursor(1, 2)}",
        f"after={cursor('2026-01-01T00:00:00+00:00', 'x')}",
        f"after={cursor('0001-01-01T00:00:00+23:00', new_id())}",
        f"after={cursor({}, [])}",
    ],
    ids=range(13),
)
async def test_a_cursor_or_a_limit_that_is_not_ours(privacy: Stand, query: str) -> None:
    answer = await privacy.client.get(f"/api/privacy/erasures?{query}", headers=dpo(privacy))
    assert (answer.status_code, problem(answer)) == (422, "invalid-input")


async def test_what_takes_no_input_ignores_it_and_other_methods_are_refused(
    privacy: Stand,
) -> None:
    for path in ("notice", "certificates-keys", "me/consents", "register", "refusals"):
        url = f"/api/privacy/{path}?x=%00&x=1"
        answer = await privacy.client.request("GET", url, content=b"\x00{", headers=dpo(privacy))
        assert answer.status_code == 200, path
        deleted = await privacy.client.delete(url, headers=dpo(privacy))
        assert (deleted.status_code, problem(deleted)) == (405, "method-not-allowed")


async def test_consents_are_for_persons_not_for_clients(privacy: Stand) -> None:
    client = privacy.token(scopes=["identity:addresses"])
    answer = await privacy.client.get("/api/privacy/me/consents", headers=client)
    assert (answer.status_code, problem(answer)) == (403, "forbidden")
