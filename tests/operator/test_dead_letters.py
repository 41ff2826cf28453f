"""Every service lets an operator see, replay and drop what took no effect - and writes it down."""

import asyncio
import hashlib
import json
from datetime import datetime
from uuid import uuid4

import httpx2
import pytest

from chassis import operations
from chassis.auth import Role
from chassis.ids import new_id
from contracts.base import Kind
from contracts.directory import PersonAttached
from tests.operator.conftest import Desk, attached
from tests.stand import Stand

TYPE = PersonAttached.event_type()
NOBODY = "018f0000-0000-7000-8000-000000000000"
ROUTES = (
    ("GET", "dead-letters/causes"),
    ("GET", "dead-letters"),
    ("GET", f"dead-letters/{NOBODY}"),
    ("POST", "dead-letters/replay"),
    ("POST", "dead-letters/drop"),
    ("POST", "dead-letters/collect"),
    ("GET", "parked-events"),
    ("POST", "parked-events/release"),
    ("GET", "operator-actions"),
)


def slug(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_the_door_is_the_operator_s(desk: Desk, method: str, path: str) -> None:
    stand = desk.stand
    for headers, expected in (
        ({"X-Nobody": "1"}, 401),
        (stand.token(new_id()), 403),
        (stand.token(new_id(), roles=[Role.AGENT, Role.BUYER]), 403),
        (stand.token(scopes=["identity:addresses"]), 403),
        (stand.token(new_id(), roles=[Role.OPERATOR], audiences=["directory"]), 401),
        (stand.token(new_id(), roles=[Role.DPO]), 200 if path == "operator-actions" else 403),
    ):
        answer = await desk.call(method, path, headers=headers)
        assert answer.status_code == expected, (path, headers)


async def test_letters_are_counted_by_cause_and_read_page_by_page(desk: Desk) -> None:
    old = await desk.dead(days=3)
    others = [await desk.dead() for _ in range(4)]
    await desk.dead(reason="against-schema", state="parked")
    done = await desk.dead(state="done")
    causes = await desk.get("dead-letters/causes")
    assert [(one["state"], one["type"], one["reason"], one["count"]) for one in causes] == [
        ("dead", TYPE, "LookupError", 5),
        ("parked", TYPE, "against-schema", 1),
    ]
    oldest, newest = (datetime.fromisoformat(causes[0][name]) for name in ("oldest", "newest"))
    assert 2.9 < (newest - oldest).total_seconds() / 86_400 < 3.1
    found, after = [], None
    while True:
        place = {"after": after} if after else {}
        page = await desk.get("dead-letters", type=TYPE, reason="LookupError", limit=2, **place)
        found += [one["event_id"] for one in page["items"]]
        if (after := page["next"]) is None:
            break
    assert found == [str(one) for one in (old, *others)]
    assert str(done) not in found
    assert slug(await desk.call("GET", f"dead-letters/{done}")) == (404, "not-found")
    assert (await desk.get("dead-letters", type="nothing"))["items"] == []


async def test_a_letter_shows_what_its_schema_says_and_nothing_else(desk: Desk) -> None:
    event = attached()
    told = await desk.get(f"dead-letters/{await desk.dead(event, note='Jean Dupont')}")
    assert told["data"] == event.model_dump(mode="json")
    assert told["envelope"]["subject"] == str(event.company_id)
    assert (told["replayable"], told["attempts"]) == (True, 5)
    assert told["sender"] == f"{desk.stand.vhost}-directory"
    for letter in (
        await desk.dead(event, role="Jean Dupont", reason="against-schema", state="parked"),
        await desk.dead(event, type="fr.ccibusiness.directory.new.v1", name="Jean Dupont"),
    ):
        shown = await desk.get(f"dead-letters/{letter}")
        assert shown["data"] is None
        assert shown["envelope"]["id"] == str(letter)
        assert "Dupont" not in json.dumps(shown)


async def test_of_what_a_stranger_wrote_only_size_and_hash_are_shown(desk: Desk) -> None:
    body = b"Jean Dupont, 06 12 34 56 78"
    letter = await desk.dead(body=body, reason="rejected")
    answer = await desk.call("GET", f"dead-letters/{letter}")
    shown = answer.json()
    assert (shown["envelope"], shown["data"], shown["replayable"]) == (None, None, False)
    assert (shown["size"], shown["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    assert "Dupont" not in answer.text
    assert await desk.post("dead-letters/replay", ids=[str(letter)]) == {"count": 0, "remaining": 1}
    dropped = await desk.post("dead-letters/drop", type=None, reason="rejected")
    assert dropped == {"count": 1, "remaining": 0}
    kept = await desk.stand.rows("SELECT body FROM inbox WHERE event_id = $1", letter)
    assert kept[0]["body"] is None


async def test_a_replayed_letter_takes_effect_once(desk: Desk) -> None:
    event = attached()
    letter = await desk.dead(event)
    unknown = str(uuid4())
    answer = await desk.post("dead-letters/replay", ids=[str(letter), str(letter), unknown])
    assert answer == {"count": 1, "remaining": 0}
    await desk.stand.eventually("SELECT true FROM attachment WHERE person_id = $1", event.person_id)
    assert await desk.state(letter) == "done"
    assert (await desk.post("dead-letters/replay", ids=[str(letter)]))["count"] == 0
    assert [one["count"] for one in await desk.actions()] == [0, 1]


async def test_a_replayed_letter_about_an_erased_person_does_nothing(desk: Desk) -> None:
    event = attached()
    letter = await desk.dead(event)
    await desk.stand.erase(event.person_id)
    assert (await desk.post("dead-letters/replay", ids=[str(letter)]))["count"] == 1
    await desk.stand.eventually("SELECT state = 'fenced' FROM inbox WHERE event_id = $1", letter)
    assert not await desk.stand.rows(
        "SELECT FROM attachment WHERE company_id = $1", event.company_id
    )


async def test_all_of_one_cause_are_replayed_within_a_bound(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = [await desk.dead() for _ in range(5)]
    other = await desk.dead(reason="KeyError")
    monkeypatch.setattr(operations, "MOST", 3)
    cause = {"type": TYPE, "reason": "LookupError"}
    assert await desk.post("dead-letters/replay", **cause) == {"count": 3, "remaining": 2}
    assert await desk.post("dead-letters/replay", **cause) == {"count": 2, "remaining": 0}
    assert await desk.post("dead-letters/replay", **cause) == {"count": 0, "remaining": 0}
    for letter in letters:
        await desk.stand.eventually("SELECT state = 'done' FROM inbox WHERE event_id = $1", letter)
    assert await desk.state(other) == "dead"
    assert (await desk.actions())[2] == {"action": "dead-letters.replay", "count": 3, **cause}


async def test_two_operators_at_once_replay_each_letter_once(desk: Desk) -> None:
    for _ in range(20):
        await desk.dead()
    cause = {"type": TYPE, "reason": "LookupError"}
    answers = await asyncio.gather(*(desk.post("dead-letters/replay", **cause) for _ in range(4)))
    assert sum(answer["count"] for answer in answers) == 20
    await desk.stand.eventually("SELECT count(*) = 20 FROM inbox WHERE state = 'done'")


async def test_a_dropped_letter_is_gone_for_good(desk: Desk) -> None:
    event = attached()
    letter = await desk.dead(event)
    assert await desk.post("dead-letters/drop", ids=[str(letter)]) == {"count": 1, "remaining": 0}
    assert (await desk.post("dead-letters/replay", ids=[str(letter)]))["count"] == 0
    assert await desk.get("dead-letters/causes") == []
    [row] = await desk.stand.rows("SELECT state, reason, body FROM inbox")
    assert tuple(row) == ("done", "dropped by dead", None)


async def test_what_the_broker_gave_up_on_is_collected(desk: Desk) -> None:
    stand = desk.stand
    queue = "consultations.dead"
    for number in range(3):
        await stand.say_raw(f"Jean {number}".encode(), routing_key=PersonAttached.routing_key())
    collected = 0
    for _ in range(500):
        answer = await desk.post("dead-letters/collect")
        collected += answer["count"]
        if collected == 3:
            break
        await asyncio.sleep(0.02)
    assert answer["remaining"] == 0
    assert await desk.post("dead-letters/collect") == {"count": 0, "remaining": 0}
    [cause] = await desk.get("dead-letters/causes")
    assert (cause["type"], cause["reason"], cause["count"]) == (None, "rejected", 3)
    done = await desk.actions()
    assert sum(one.pop("count") for one in done) == 3
    assert done[0] == {"action": "dead-letters.collect", "queue": queue}
    runtime = stand.runtime
    settings = runtime.settings
    runtime.settings = settings.model_copy(update={"amqp_url": "amqp://x:y@127.0.0.1:9/z"})
    try:
        assert slug(await desk.call("POST", "dead-letters/collect")) == (503, "unavailable")
    finally:
        runtime.settings = settings


WRONG: dict[str, object] = {
    "nothing": {},
    "no ids": {"ids": []},
    "no id": {"ids": ["nobody"]},
    "too many": {"ids": [NOBODY] * 1001},
    "both": {"ids": [NOBODY], "type": TYPE, "reason": "x"},
    "half a cause": {"type": TYPE},
    "the other half": {"reason": "LookupError"},
    "too long": {"type": "x" * 201, "reason": "y"},
    "unknown field": {"type": TYPE, "reason": "x", "all": True},
    "a list": [],
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("verb", ["replay", "drop"])
async def test_a_wrong_selection_is_refused_and_changes_nothing(
    desk: Desk, verb: str, what: str
) -> None:
    letter = await desk.dead()
    answer = await desk.call("POST", f"dead-letters/{verb}", json=WRONG[what])
    assert slug(answer) == (422, "invalid-input")
    assert await desk.state(letter) == "dead"
    assert await desk.actions() == []


@pytest.mark.parametrize("after", ["x", "WyIxIl0", "Wzk5OTk5OTk5OTk5OTk5OTk5OTk5XQ", "WzEuNV0"])
async def test_a_cursor_that_is_not_ours_is_refused(desk: Desk, after: str) -> None:
    for path in ("dead-letters", "parked-events", "operator-actions"):
        answer = await desk.call("GET", path, params={"after": after})
        assert slug(answer) == (422, "invalid-input")


async def test_parked_events_are_listed_and_released(desk: Desk) -> None:
    stand, events = desk.stand, [new_id() for _ in range(3)]
    for event_id in events:
        await stand.rows(
            "INSERT INTO outbox (event_id, aggregate, slot, exchange, routing_key, body, created_at,"
            " blocked_until, attempts, last_error)"
            " VALUES ($1, $2, 0, $3, 'consultations.closed.v1', $4, now(), 'infinity', 1, 'returned')",
            event_id,
            str(event_id),
            Kind.FACT.value,
            b'{"type": "x", "data": {}}',
        )
    first = await desk.get("parked-events", limit=2)
    rest = await desk.get("parked-events", limit=2, after=first["next"])
    listed = [*first["items"], *rest["items"]]
    assert [one["event_id"] for one in listed] == [str(one) for one in events]
    assert {one["last_error"] for one in listed} == {"returned"}
    assert await desk.post("parked-events/release") == {"count": 3, "remaining": 0}
    await stand.eventually("SELECT count(*) = 0 FROM outbox")
    assert await desk.actions() == [{"action": "parked-events.release", "count": 3}]


async def test_acts_stay_without_their_operator_and_go_after_a_year(desk: Desk) -> None:
    from chassis.jobs import prune

    stand = desk.stand
    await desk.post("dead-letters/replay", ids=[str(new_id())])
    ours = "SELECT count(*) FROM operator_action WHERE about::text LIKE $1"
    [act] = (await desk.get("operator-actions", limit=1))["items"]
    assert act["person_id"] == str(desk.operator)
    evidence = (await stand.erase(desk.operator))["subjects"][0]
    assert evidence["tables"]["operator_action"]["detached"] == 1
    assert slug(await desk.call("GET", "operator-actions")) == (401, "not-authenticated")
    another = Desk(stand=stand)
    [nobody] = [
        one
        for one in (await another.get("operator-actions", limit=100))["items"]
        if one["id"] == act["id"]
    ]
    assert nobody == {**act, "person_id": None}
    for days, left in ((364, 1), (366, 0)):
        await stand.rows(
            "UPDATE operator_action SET done_at = now() - $1 * interval '1 day'"
            " WHERE id::text = $2",
            days,
            act["id"],
        )
        await prune(stand.runtime)
        found = await stand.rows(ours, f"%{act['about']['ids'][0]}%")
        assert found[0][0] == left


async def test_what_is_not_done_is_not_written_down(desk: Desk, service: Stand) -> None:
    """The note and the effect are one transaction: an operator erased meanwhile leaves neither."""
    letter = await desk.dead()
    await service.rows(
        "INSERT INTO data_subject (id) VALUES ($1) ON CONFLICT DO NOTHING", desk.operator
    )
    headers = service.token(desk.operator, roles=[Role.OPERATOR])
    await service.rows("UPDATE data_subject SET erased_at = now() WHERE id = $1", desk.operator)
    answer = await desk.call(
        "POST", "dead-letters/drop", json={"ids": [str(letter)]}, headers=headers
    )
    assert answer.status_code == 401
    assert await desk.state(letter) == "dead"
    counted = await service.rows(
        "SELECT count(*) FROM operator_action WHERE person_id = $1", desk.operator
    )
    assert counted[0][0] == 0
