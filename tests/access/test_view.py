"""« Mes données »: what is held, live, and who could not be asked."""

import asyncio
import json
from typing import Any
from uuid import UUID

import pytest

from chassis.auth import Role
from chassis.ids import new_id
from services.consultations.models import catalogue as held_by_consultations
from services.privacy.actions import collecting
from tests.access.conftest import Data, Neighbour, Street
from tests.privacy.troupe import playing

ALL = {"consultations", "directory", "identity", "privacy"}


def services(view: Data) -> dict[str, Data]:
    return {one["service"]: one for one in view["services"]}


def section(view: Data, service: str, table: str) -> Data:
    found: Data = next(s for s in services(view)[service]["sections"] if s["table"] == table)
    return found


async def test_a_person_sees_every_value_why_it_is_held_and_who_reads_it(street: Street) -> None:
    person, email = await street.join(about="Je répare des péniches", skills=["soudure"])
    stranger, address = await street.join(about="Je vends des voiles")
    row = {"message": "Nous savons faire", "contact_email": "moi@entreprise.example"}
    body = json.dumps(street.neighbour.held(reply=[row])).encode()
    with street.neighbour.doing(body=body):
        view = await street.call(person, "GET", "me/data")
    assert view["complete"]
    assert services(view).keys() == ALL
    profile = section(view, "directory", "profile")
    assert profile["purpose"] == "Être connu des membres de ses communautés"
    assert profile["basis"] == "consent"
    assert "members" in profile["recipients"]
    labels = {column["name"]: column["label"] for column in profile["columns"]}
    assert labels["about"] == "À propos de moi"
    assert profile["rows"][0]["about"] == "Je répare des péniches"
    assert profile["rows"][0]["skills"] == ["soudure"]
    assert section(view, "identity", "account")["rows"][0]["email"] == email
    assert section(view, "identity", "account")["rows"][0]["password_hash"] is True
    assert section(view, "consultations", "reply")["rows"][0]["message"] == "Nous savons faire"
    for foreign in ("argon2", address, str(stranger), "voiles"):
        assert foreign not in json.dumps(view, ensure_ascii=False)


async def test_somebody_of_whom_nothing_is_held_sees_that(street: Street, person: UUID) -> None:
    view = await street.call(person, "GET", "me/data")
    assert view["complete"]
    assert all(s["total"] == 0 for one in view["services"] for s in one["sections"])


async def test_a_long_table_shows_its_beginning_and_how_long_it_is(
    street: Street, person: UUID
) -> None:
    stand = street.identity
    await stand.rows("INSERT INTO data_subject (id) VALUES ($1)", person)
    await stand.rows(
        "INSERT INTO role_grant (account_id, role) SELECT $1, 'r' || n FROM generate_series(1, 150) n",
        person,
    )
    found = section(await street.call(person, "GET", "me/data"), "identity", "role_grant")
    assert (len(found["rows"]), found["total"]) == (100, 150)


async def test_a_service_that_is_down_is_named_and_the_others_answer(
    street: Street, person: UUID
) -> None:
    await street.tells(person)
    async with street.directory_is_down():
        view = await street.call(person, "GET", "me/data")
    assert not view["complete"]
    silent = {name for name, one in services(view).items() if not one["answered"]}
    assert silent == {"directory"}
    assert services(view)["directory"]["why_not"] == "unreachable"
    view = await street.call(person, "GET", "me/data")
    assert view["complete"]
    assert section(view, "directory", "profile")["total"] == 1


def changed(answer: Data, **section_changes: Any) -> bytes:
    """An honest answer but for its first section."""
    answer["sections"][0] |= section_changes
    return json.dumps(answer).encode()


def rubbish(neighbour: Neighbour) -> dict[str, Data]:
    held = neighbour.held
    first = held()["sections"][0]
    return {
        "an error": {"status": 500},
        "a redirection": {"status": 302},
        "no right": {"status": 403},
        "not found": {"status": 404},
        "nothing": {"body": b""},
        "a page": {"body": b"<html>maintenance</html>"},
        "no bytes of a text": {"body": b"\xff\xfe\x00"},
        "a lone surrogate": {"body": b'{"service": "\\ud800", "sections": [], "next": null}'},
        "a deep hole": {"body": b"[" * 100_000},
        "a list": {"body": b"[]"},
        "somebody else": {"body": json.dumps({**held(), "service": "identity"}).encode()},
        "a column nobody declared": {"body": changed(held(), rows=[{"surprise": 1}])},
        "a table with a path": {"body": changed(held(), table="../../etc/passwd")},
        "the same table twice": {
            "body": json.dumps({**held(), "sections": [first, first]}).encode()
        },
        "an endless label": {"body": changed(held(), purpose="x" * 1000)},
    }


RUBBISH = rubbish(Neighbour())


@pytest.mark.parametrize("how", RUBBISH.values(), ids=RUBBISH.keys())
async def test_an_answer_that_cannot_be_read_is_no_answer(
    street: Street, person: UUID, how: Data
) -> None:
    with street.neighbour.doing(**how):
        view = await street.call(person, "GET", "me/data")
    assert not view["complete"]
    assert not services(view)["consultations"]["answered"]
    assert services(view)["consultations"]["sections"] == []
    assert services(view)["directory"]["answered"]


async def test_a_service_that_hangs_or_floods_costs_seconds_not_the_view(
    street: Street, person: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "_PATIENCE_S", 0.3)
    monkeypatch.setattr(collecting, "MAX_ANSWER_BYTES", 100_000)
    flood = json.dumps(street.neighbour.held()).encode() + b" " * 200_000
    ways: list[tuple[Data, str]] = [
        ({"hangs": True}, "unreachable"),
        ({"body": flood}, "wrong_answer"),
    ]
    for how, why in ways:
        with street.neighbour.doing(**how):
            async with asyncio.timeout(3):
                view = await street.call(person, "GET", "me/data")
        assert services(view)["consultations"]["why_not"] == why


async def test_a_service_that_hides_a_table_it_declares_is_found_out(
    street: Street, person: UUID
) -> None:
    stand = street.privacy
    manifest = {**held_by_consultations.describe(), "schema_hash": "0" * 64}
    async with playing(stand, ["consultations"]) as troupe:
        await troupe["consultations"].announce(manifest)
        await stand.eventually(
            "SELECT count(*) = 2 FROM manifest WHERE participant = 'consultations'"
        )
        answer = street.neighbour.held()
        assert (await street.call(person, "GET", "me/data"))["complete"]
        answer["sections"] = answer["sections"][1:]
        with street.neighbour.doing(body=json.dumps(answer).encode()):
            view = await street.call(person, "GET", "me/data")
    assert services(view)["consultations"]["why_not"] == "incomplete_answer"


async def test_only_the_person_sees_values_and_the_dpo_counts(street: Street) -> None:
    person, stand = new_id(), street.privacy
    await street.tells(person, about="Pour moi seule")
    url = f"/api/privacy/people/{person}/data"
    answer = await stand.client.get(url, headers=stand.token(new_id(), roles=[Role.DPO]))
    assert answer.status_code == 200
    assert "Pour moi seule" not in answer.text
    assert section(answer.json(), "directory", "profile")["total"] == 1
    for headers, status in (
        (stand.token(person), 403),
        (stand.token(new_id(), roles=[Role.AGENT, Role.OPERATOR, Role.BUYER]), 403),
        (stand.token(scopes=["subjects:read"]), 403),
        ({}, 401),
    ):
        assert (await stand.client.get(url, headers=headers)).status_code == status


async def test_no_token_no_data(street: Street, person: UUID) -> None:
    stand = street.privacy
    for headers, status in (
        ({}, 401),
        ({"Authorization": "Bearer nonsense"}, 401),
        (stand.token(person, audiences=["directory"]), 401),
        (stand.token(person, shift=-400), 401),
        (stand.token(scopes=["subjects:read"]), 403),
    ):
        for method, path in (("GET", "me/data"), ("GET", "me/exports"), ("POST", "me/exports")):
            answer = await stand.client.request(method, f"/api/privacy/{path}", headers=headers)
            assert answer.status_code == status, path


async def test_who_is_being_erased_elsewhere_is_told_so(street: Street, person: UUID) -> None:
    with street.neighbour.doing(status=410):
        gone = await street.call(person, "GET", "me/data", expect=410)
    assert gone["type"].endswith("subject-erased")


async def test_who_was_erased_here_is_nobody(street: Street, person: UUID) -> None:
    await street.privacy.erase(person)
    await street.call(person, "GET", "me/data", expect=401)
    await street.call(person, "POST", "me/exports", expect=401)
