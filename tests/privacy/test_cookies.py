"""Choices about audience measurement: proven, anonymous, asked again, forgotten."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import KeySet

from chassis import clock
from services.privacy.models import CookieChoice
from services.privacy.models.deadlines import months_after
from tests.stand import Stand

CHOICES = "/api/privacy/cookie-choices"


@pytest.fixture(autouse=True)
def unhurried(privacy: Stand) -> None:
    privacy.client.headers["X-Forwarded-For"] = f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}::1"


async def chosen(stand: Stand, *, audience: bool) -> Any:
    answer = await stand.client.post(CHOICES, json={"audience": audience})
    assert answer.status_code == 201, answer.text
    assert "set-cookie" not in answer.headers
    return answer.json()


async def test_a_choice_is_proven_and_names_nobody(privacy: Stand) -> None:
    choice = await chosen(privacy, audience=True)
    trusted = json.loads((privacy.layout.trust / "certificates.jwks.json").read_text())
    found = jws.deserialize_compact(choice["jws"], KeySet.import_key_set(trusted), ["ES256"])
    proof = json.loads(found.payload)
    assert (proof["choice_id"], proof["audience"]) == (choice["id"], True)
    assert proof["notice_version"] == choice["notice_version"] == "2026-11"
    assert UUID(choice["id"]).version == 4, "no instant in the id"
    [row] = await privacy.rows(
        "SELECT * FROM cookie_choice WHERE choice_id = $1", UUID(choice["id"])
    )
    assert set(row.keys()) == {
        *("choice_id", "audience", "notice_version", "chosen_at"),
        *("ask_again_at", "expires_at", "withdrawn_at"),
    }
    assert not [event for event in privacy.heard if choice["id"] in str(event)]


async def test_an_agreement_lasts_twelve_months_and_visits_do_not_prolong_it(
    privacy: Stand,
) -> None:
    choice = await chosen(privacy, audience=True)
    at, path = datetime.fromisoformat(choice["chosen_at"]), f"{CHOICES}/{choice['id']}"
    assert datetime.fromisoformat(choice["expires_at"]) == months_after(at, 12)
    assert datetime.fromisoformat(choice["ask_again_at"]) == months_after(at, 6)
    try:
        for days, ask_again in ((1, False), (180, False), (185, True), (364, True)):
            clock.shift(timedelta(days=days))
            seen = (await privacy.client.get(path)).json()
            assert (seen["audience"], seen["ask_again"]) == (True, ask_again), days
            assert seen["expires_at"] == choice["expires_at"]
        clock.shift(timedelta(days=366))
        assert (await privacy.client.get(path)).status_code == 404
        await privacy.eventually(
            "SELECT NOT EXISTS (SELECT FROM cookie_choice WHERE choice_id = $1)"
            " AND NOT EXISTS (SELECT FROM data_subject WHERE id = $1)",
            UUID(choice["id"]),
        )
    finally:
        clock.shift(timedelta(0))


async def test_a_refusal_is_respected_for_six_months_then_asked_again(privacy: Stand) -> None:
    choice = await chosen(privacy, audience=False)
    assert choice["audience"] is False
    assert choice["expires_at"] == choice["ask_again_at"]
    try:
        clock.shift(timedelta(days=180))
        seen = (await privacy.client.get(f"{CHOICES}/{choice['id']}")).json()
        assert (seen["audience"], seen["ask_again"]) == (False, False)
        clock.shift(timedelta(days=185))
        assert (await privacy.client.get(f"{CHOICES}/{choice['id']}")).status_code == 404
    finally:
        clock.shift(timedelta(0))


async def test_an_agreement_is_withdrawn_as_easily_as_it_was_given(privacy: Stand) -> None:
    choice = await chosen(privacy, audience=True)
    path = f"{CHOICES}/{choice['id']}"
    first = (await privacy.client.delete(path)).json()
    assert (first["audience"], bool(first["withdrawn_at"])) == (False, True)
    assert (await privacy.client.delete(path)).json() == first
    assert (await privacy.client.get(path)).json()["audience"] is False
    refusal = await chosen(privacy, audience=False)
    unchanged = (await privacy.client.delete(f"{CHOICES}/{refusal['id']}")).json()
    assert unchanged["withdrawn_at"] is None
    for unknown, code in ((uuid4(), 404), ("moi", 422)):
        assert (await privacy.client.delete(f"{CHOICES}/{unknown}")).status_code == code
        assert (await privacy.client.get(f"{CHOICES}/{unknown}")).status_code == code


@pytest.mark.parametrize(
    "body",
    [{}, {"audience": None}, {"audience": "oui"}, {"audience": 1}, {"audience": True, "ip": "x"}],
)
async def test_only_a_clear_choice_counts(privacy: Stand, body: dict[str, Any]) -> None:
    answer = await privacy.client.post(CHOICES, json=body)
    assert answer.status_code == 422


async def test_one_client_cannot_fill_the_table(privacy: Stand) -> None:
    codes = [
        (await privacy.client.post(CHOICES, json={"audience": False})).status_code
        for _ in range(62)
    ]
    assert codes == [201] * 60 + [429] * 2


@given(st.datetimes(min_value=datetime(2024, 1, 1), max_value=datetime(2060, 1, 1)), st.integers())  # noqa: DTZ001
def test_no_choice_outlives_twelve_months_nor_is_asked_about_after_six(
    now: datetime, seed: int
) -> None:
    now = now.replace(tzinfo=clock.now().tzinfo)
    choice = CookieChoice.made(
        choice_id=UUID(int=seed % 2**128), audience=bool(seed % 2), notice_version="1", now=now
    )
    assert choice.expires_at <= months_after(now, 12)
    assert choice.ask_again_at == months_after(now, 6)
    choice.withdraw(now=now + timedelta(days=200))
    assert not choice.measured
    assert choice.ask_again_at <= choice.expires_at
